"""Tests which plans are used, and the errors of refused plans and failed builds, on a stand-in for TensorRT."""

from __future__ import annotations

import errno
import os
import shutil
import threading
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines import EngineUnavailable, ModelError, PromptError, cache
from engines.backends.tensorrt import device as gpu
from engines.backends.tensorrt.device import DeviceArray, open_device
from engines.backends.tensorrt.library import find_library
from engines.backends.tensorrt.plans import GpuInfo, PlanStore
from engines.backends.tensorrt.progress import BuildProgress
from engines.backends.tensorrt.runner import TensorRtRuntime
from engines.graph_store import GraphStore
from engines.graphs import BATCHES, BUILT, DecoderGraph, EncoderGraph, LetterboxGraph
from engines.letterbox import Letterbox
from realtime.commands.main import build_parser
from tests.engines import fake_tensorrt as fake

GPU = GpuInfo("Fake 9000", "8.9", "580.65")
GRAPH = DecoderGraph(9, 14, 1, 2, False)
PARSER = build_parser()


@pytest.fixture(scope="module")
def exported(weights_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a cache that holds only the exported graph."""
    root = tmp_path_factory.mktemp("exported")
    GraphStore(weights_folder, "mobile_sam", root, lambda line: None).typed_file(GRAPH, "f32")
    return root


@pytest.fixture
def store(weights_folder: Path, exported: Path, tmp_path: Path) -> GraphStore:
    shutil.copytree(exported, tmp_path, dirs_exist_ok=True)
    return GraphStore(weights_folder, "mobile_sam", tmp_path, lambda line: None)


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("failure", "parser_refuses", "builds", "starts"):
        monkeypatch.setattr(fake.Builder, name, getattr(fake.Builder, name))
    monkeypatch.setattr(fake.Builder, "builds", 0)


def plans(
    store: GraphStore, gpu: GpuInfo = GPU, precision="f16", rtx: bool = False, version: str = "11.4.0"
) -> PlanStore:
    return PlanStore(replace(fake.fake_library(rtx=rtx), version=version), gpu, store, precision)


# -- keys -------------------------------------------------------------------------------------------------------------


def test_a_plan_is_built_once(store):
    file = plans(store).plan(GRAPH)
    assert plans(store).plan(GRAPH) == file
    assert fake.Builder.builds == 1
    assert plans(store).plan(GRAPH, force=True) == file
    assert fake.Builder.builds == 2
    key = cache.read_note(cache.note_path(file)).key
    assert {key[name] for name in ("version", "compute", "driver", "numbers")} == {"11.4.0", "8.9", "580.65", "f16"}
    assert len(key["onnx"]) == 64


@pytest.mark.parametrize(
    ("there", "here", "message"),
    [
        ({"gpu": replace(GPU, compute="8.6")}, {}, "compute '8.6' instead of '8.9'"),
        ({"gpu": replace(GPU, driver="570.1")}, {}, "driver '570.1' instead of '580.65'"),
        ({"version": "10.9.0"}, {}, "version '10.9.0' instead of '11.4.0'"),
    ],
    ids=["compute capability", "driver", "TensorRT"],
)
def test_a_plan_from_elsewhere_is_refused_with_the_command(store, there, here, message):
    plans(store, **there).plan(GRAPH)
    with pytest.raises(ModelError) as caught:
        plans(store, **here).plan(GRAPH)
    assert message in str(caught.value)
    command = "run `gazecast engine build --engine tensorrt --precision f16 --picture-side 224 --frame 224x144 --force`"
    assert command in str(caught.value)
    assert "\n" not in str(caught.value)
    assert fake.Builder.builds == 1


@given(
    width=st.integers(64, 4000), height=st.integers(64, 4000), side=st.sampled_from([224, 500, 512, 672, 1000, 1024]),
    batch=st.sampled_from(BATCHES),
)  # fmt: skip
def test_the_command_builds_the_plan_that_was_refused(width, height, side, batch):
    chosen = PlanStore(fake.fake_library(), GPU, SimpleNamespace(model="mobile_sam"), "f16")
    box = Letterbox(width, height, picture_side=side)
    columns, rows = box.content_size
    wanted = (
        EncoderGraph.of(box), DecoderGraph.of(box, batch, 2, False), LetterboxGraph(height, width, rows, columns),
    )  # fmt: skip
    for graph in wanted:
        words = chosen._command(graph).split("`")[1].split()
        args = PARSER.parse_args(words[1:])
        assert (args.backend, args.precision, args.force) == ("tensorrt", "f16", True)
        there = Letterbox(*map(int, args.frame.split("x")), picture_side=args.picture_side or 1024)
        columns, rows = there.content_size
        assert graph in (
            EncoderGraph.of(there), DecoderGraph.of(there, batch, 2, False),
            LetterboxGraph(there.height, there.width, rows, columns),
        )  # fmt: skip


def test_a_plan_of_another_graph_is_refused(store, monkeypatch):
    file = plans(store).plan(GRAPH)
    note = cache.read_note(cache.note_path(file))
    cache.write_note(file, note.name, {**note.key, "onnx": "0" * 64})
    with pytest.raises(ModelError, match="onnx '0000"):
        plans(store).plan(GRAPH)


def test_a_damaged_plan_is_built_anew(store):
    file = plans(store).plan(GRAPH)
    whole = file.read_bytes()
    file.write_bytes(whole[:-10])
    assert plans(store).plan(GRAPH) == file
    assert len(file.read_bytes()) == len(whole)


@pytest.mark.parametrize("precision", ["f32", "f16"])
def test_a_damaged_graph_behind_a_plan_is_built_anew(store, precision):
    plans(store, precision=precision).plan(GRAPH)
    file = store.typed_file(GRAPH, precision)
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    plans(store, precision=precision).plan(GRAPH)
    assert file.read_bytes() == whole


def test_precisions_and_libraries_do_not_meet(store):
    files = {
        plans(store).plan(GRAPH), plans(store, precision="bf16").plan(GRAPH), plans(store, rtx=True).plan(GRAPH),
        plans(store, precision="f32").plan(GRAPH),
    }  # fmt: skip
    assert len(files) == 4


def test_only_encoders_are_quantised(store):
    chosen = plans(store, precision="int8")
    assert [chosen.numbers(g) for g in (EncoderGraph(128, 224), GRAPH, LetterboxGraph(9, 9, 8, 8))] == [
        "int8", "f16", "f32",
    ]  # fmt: skip


def test_a_plan_that_does_not_open_reports_the_reason(store, tmp_path):
    device = fake.HostDevice()
    chosen = plans(store)
    file = chosen.plan(GRAPH)
    key = cache.read_note(cache.note_path(file)).key
    file.write_bytes(b"made by another version")
    cache.write_note(file, GRAPH.name, key)
    with pytest.raises(ModelError, match="magic tag does not match; run `gazecast engine build --engine tensorrt"):
        TensorRtRuntime(fake.fake_library(), device, chosen).decoder(GRAPH)


# -- builds -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("failure", "kind", "message"),
    [
        ("Requested amount of GPU memory (9 bytes) could not be allocated: out of memory", EngineUnavailable,
         "ran out of GPU memory while it built"),
        ("Could not find any implementation for node /Softmax", ModelError,
         "did not build .*: Could not find any implementation for node /Softmax"),
    ],
)  # fmt: skip
def test_a_builder_that_returns_nothing_fails_with_its_reason(store, failure, kind, message):
    fake.Builder.failure = failure
    with pytest.raises(kind, match=message) as caught:
        plans(store).plan(GRAPH)
    assert "\n" not in str(caught.value)
    fake.Builder.failure = None
    plans(store).plan(GRAPH)  # nothing is left of it
    assert fake.Builder.builds == 1


def test_a_full_disk_is_reported_and_left_unchanged(store, tmp_path, monkeypatch):
    def full(file: Path, content: bytes) -> int:
        with file.open("wb") as stream:
            stream.write(content[:100])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    chosen = plans(store)
    store.typed_file(GRAPH, "f16")
    before = sorted(tmp_path.iterdir())
    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        with pytest.raises(ModelError, match=r"cannot write .*\.plan: No space left on device; make room"):
            chosen.plan(GRAPH)
    assert sorted(tmp_path.iterdir()) == before
    assert chosen.plan(GRAPH).is_file()


def test_a_driver_that_is_too_old_is_reported_in_one_line(store):
    fake.Builder.starts = False
    with pytest.raises(EngineUnavailable, match=r"cannot start: CUDA initialization failure .*35; is the driver new"):
        plans(store).plan(GRAPH)


def test_a_plan_is_built_in_the_gpus_context(store):
    """The device belongs to a thread, and a plan is built on a thread of its own."""
    inside = []

    @contextmanager
    def make_current():
        inside.append(threading.current_thread())
        yield
        inside.append(fake.Builder.builds)

    PlanStore(fake.fake_library(), GPU, store, "f16", current=make_current).plan(GRAPH)
    assert inside[0] is not threading.current_thread()
    assert inside[1:] == [1]


def test_an_operator_that_is_not_supported_is_named(store):
    fake.Builder.parser_refuses = True
    with pytest.raises(ModelError, match=r"operator Slice \(/Slice_8\): a shape tensor must have type Int64"):
        plans(store).plan(GRAPH)


def test_timings_are_kept_from_one_build_to_the_next(store, tmp_path):
    plans(store).plan(GRAPH)
    (file,) = tmp_path.glob("timings-*.cache")
    assert file.read_bytes() == b"t"
    plans(store).plan(GRAPH, force=True)
    assert file.read_bytes() == b"tt"
    for useless in (b"foreign", b"damaged"):
        file.write_bytes(useless)
        plans(store).plan(GRAPH, force=True)
        assert file.read_bytes() == b"t"


def test_rtx_gets_its_target_and_user_allocation(store, tmp_path):
    plans(store, rtx=True).plan(GRAPH)
    config = fake.Builder.last_config
    assert config.targets == {0: fake.ComputeCapability.SM89}
    assert fake.BuilderFlag.REQUIRE_USER_ALLOCATION in config.flags_set
    assert not list(tmp_path.glob("timings-*"))
    plans(store).plan(GRAPH)
    assert fake.Builder.last_config.targets == {}


def test_float32_is_not_cut_to_tf32(store):
    plans(store, precision="f32").plan(GRAPH)
    assert fake.BuilderFlag.TF32 in fake.Builder.last_config.flags_cleared


@given(st.lists(st.tuples(st.integers(1, 4), st.booleans()), min_size=1, max_size=6))
def test_progress_never_falls_and_ends_full(phases):
    progress, seen = BuildProgress(), [0.0]
    progress.start("all", None, len(phases))
    for index, (steps, early) in enumerate(phases):
        progress.start("part", "all", steps)
        for step in range(steps - early):
            progress.step("part", step)
            seen.append(progress.share)
        progress.finish("part")
        progress.step("all", index)
        seen.append(progress.share)
    progress.finish("all")
    assert seen == sorted(seen)
    assert progress.share == 1.0


# -- libraries and devices --------------------------------------------------------------------------------------------


def loader(**there):
    def load(name: str):
        found = there.get(name)
        if isinstance(found, Exception):
            raise found
        if found is None:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return SimpleNamespace(__version__=found)

    return load


@pytest.mark.parametrize(
    ("there", "name", "rtx"),
    [
        ({"tensorrt": "10.8.0.43"}, "TensorRT", False),
        ({"tensorrt": "11.4.0.106", "tensorrt_rtx": "1.7.1"}, "TensorRT", False),
        ({"tensorrt_rtx": "1.7.1"}, "TensorRT-RTX", True),
        ({"tensorrt_rtx_bindings": "1.7.1.116"}, "TensorRT-RTX", True),
        ({"tensorrt": "10.7.0", "tensorrt_rtx_bindings": "1.7.1"}, "TensorRT-RTX", True),
        ({"tensorrt": OSError("libnvinfer.so.11: no such file"), "tensorrt_rtx": "1.7.1"}, "TensorRT-RTX", True),
    ],
)
def test_the_first_library_that_works_is_taken(there, name, rtx):
    found = find_library(loader(**there))
    assert (found.name, found.rtx) == (name, rtx)


@pytest.mark.parametrize(
    ("there", "message"),
    [
        ({}, "TensorRT is not installed; pip install"),
        ({"tensorrt": "8.6.1"}, "TensorRT 8.6.1 is installed, 10.8 to 11 is needed"),
        ({"tensorrt": "12.0"}, "10.8 to 11 is needed"),
        ({"tensorrt": ImportError("libnvinfer.so.11: cannot open shared object\nmore")}, "libnvinfer.so.11: cannot"),
    ],
)
def test_a_missing_library_is_reported_in_one_line(there, message):
    with pytest.raises(EngineUnavailable) as caught:
        find_library(loader(**there))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_driver_is_the_same_whichever_library_asks(tmp_path, monkeypatch):
    file, empty = tmp_path / "version", tmp_path / "empty"
    empty.touch()
    monkeypatch.setattr(gpu, "DRIVER_FILES", (tmp_path / "none", empty, file))
    assert [gpu.driver_version(number) for number in (13020, 12080, 0)] == ["CUDA 13.2", "CUDA 12.8", ""]
    file.write_text("580.65.06\n")
    assert {gpu.driver_version(number) for number in (13020, 12080, 0)} == {"580.65.06"}


def test_memory_is_the_first_that_works_or_the_one_that_is_named(monkeypatch):
    def load(name: str):
        if name.endswith("torch_memory"):
            raise EngineUnavailable("torch sees no GPU")
        return SimpleNamespace(open_device=lambda: name)

    assert open_device(load) == "engines.backends.tensorrt.pycuda_memory"
    monkeypatch.setenv("GAZECAST_CUDA_MEMORY", "torch")
    with pytest.raises(EngineUnavailable, match="no CUDA GPU can be used: torch sees no GPU"):
        open_device(load)
    monkeypatch.setenv("GAZECAST_CUDA_MEMORY", "abacus")
    with pytest.raises(EngineUnavailable, match="choose torch or pycuda"):
        open_device(load)


@pytest.mark.parametrize("shape", [(4, 5, 3), (7,), (1, 1)])
def test_foreign_memory_is_used_if_it_is_packed(shape):
    array = np.zeros(shape, np.float32)
    described = {"shape": shape, "typestr": "<f4", "data": (256, False), "version": 3}
    for strides in (None, array.strides):
        found = DeviceArray.of(SimpleNamespace(__cuda_array_interface__={**described, "strides": strides}))
        assert (found.address, found.nbytes, found.needs_sync) == (256, array.nbytes, False)
    gaps = tuple(2 * step for step in array.strides)
    with pytest.raises(PromptError, match="packed row by row"):
        DeviceArray.of(SimpleNamespace(__cuda_array_interface__={**described, "strides": gaps}))


# -- pycuda and cuda-python -------------------------------------------------------------------------------------------


class Driver:
    """The six functions of cuda-python that record and launch a graph."""

    CUstreamCaptureMode = SimpleNamespace(CU_STREAM_CAPTURE_MODE_THREAD_LOCAL=1)
    CUresult = SimpleNamespace(CUDA_SUCCESS=0)

    def __init__(self, fails: str = "") -> None:
        self.calls: list[tuple[object, ...]] = []
        self._fails = fails

    def __getattr__(self, name: str):
        values = {"cuStreamEndCapture": ("graph",), "cuGraphInstantiate": ("executable",)}

        def call(*args: object) -> tuple[object, ...]:
            self.calls.append((name, *args))
            return (1 if name == self._fails else 0, *values.get(name, ()))

        return call


@pytest.fixture
def record(monkeypatch):
    """Import `pycuda_memory.record` with a stand-in for pycuda, which needs a driver."""
    import sys

    for name in ("pycuda", "pycuda.driver"):
        monkeypatch.setitem(sys.modules, name, SimpleNamespace(driver=SimpleNamespace()))
    monkeypatch.delitem(sys.modules, "engines.backends.tensorrt.pycuda_memory", raising=False)
    from engines.backends.tensorrt import pycuda_memory

    yield pycuda_memory.record
    sys.modules.pop("engines.backends.tensorrt.pycuda_memory", None)


def test_a_graph_is_recorded_on_a_foreign_stream(record):
    driver = Driver()
    launch = record(driver, 77, lambda: driver.calls.append(("work",)))
    launch()
    launch()
    del launch
    assert driver.calls == [
        ("cuStreamBeginCapture", 77, 1), ("work",), ("cuStreamEndCapture", 77), ("cuGraphInstantiate", "graph", 0),
        ("cuGraphDestroy", "graph"), ("cuGraphLaunch", "executable", 77), ("cuGraphLaunch", "executable", 77),
        ("cuGraphExecDestroy", "executable"),
    ]  # fmt: skip


def test_work_that_fails_ends_the_recording(record):
    driver = Driver()

    def work() -> None:
        raise ModelError("no such tensor")

    with pytest.raises(ModelError, match="no such tensor"):
        record(driver, 77, work)
    assert driver.calls[-1] == ("cuStreamEndCapture", 77)


def test_a_driver_that_refuses_is_reported(record):
    with pytest.raises(ModelError, match="cannot be recorded or launched: 1"):
        record(Driver("cuGraphInstantiate"), 77, lambda: None)


# -- gazecast engine build --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("precision", "refused"), [("auto", False), ("int8", True)])
def test_the_workshop_builds_all_that_a_run_needs(weights_folder, tmp_path, monkeypatch, precision, refused):
    from engines import EngineSettings, build
    from engines.acceptance import AcceptanceRefused
    from engines.backends import tensorrt

    monkeypatch.setattr(tensorrt, "find_library", fake.fake_library)
    monkeypatch.setattr(tensorrt, "open_device", fake.HostDevice)

    def verify(*args: object, **more: object) -> dict[str, str]:
        if refused:
            raise AcceptanceRefused("best-of-four IoU 0.1")
        return {"gate": "passed"}

    monkeypatch.setattr(build, "verify_engine", verify)
    settings = EngineSettings("tensorrt", precision=precision, picture_side=224, cache_dir=tmp_path)
    picture = np.random.default_rng(0).integers(0, 256, (180, 320, 3)).astype(np.uint8)
    if refused:
        with pytest.raises(AcceptanceRefused):
            build.build_engine(settings, weights_folder, (320, 180), [picture])
    else:
        assert build.build_engine(settings, weights_folder, (320, 180), [picture]) == {"gate": "passed"}
    numbers = "f16" if precision == "auto" else precision
    names = {entry["name"] for entry in build.list_engines(tmp_path) if entry["file"].endswith(".plan")}
    assert names == {
        f"encoder-128x224-{numbers}-plan", "letterbox-180x320-128x224-f32-plan", "decoder-masks-8x14-b1-n2-f16-plan",
        *(f"decoder-8x14-b{use.batch}-n{use.points}-f16-plan" for use in BUILT),
    }  # fmt: skip
    store = GraphStore(weights_folder, "mobile_sam", tmp_path, lambda line: None)
    # What was refused cannot be opened: it has no ranges any more.
    assert not store.has_ranges(EncoderGraph(128, 224))
