"""Tests the runner on stand-ins for TensorRT and its GPU, with the real typed graphs: memory, slots, graphs, errors."""

from __future__ import annotations

import gc
import threading
from pathlib import Path

import cv2
import numpy as np
import pytest

from engines import EngineError, EngineSettings, EngineUnavailable, Prompt, PromptError, load
from engines.backends import tensorrt
from engines.backends.tensorrt import device as gpu
from engines.backends.tensorrt import embedding_slots
from engines.graphs import BUILT, DecoderGraph, EncoderGraph
from engines.letterbox import Letterbox
from engines.reference import iou
from tests.engines import fake_tensorrt as fake
from tests.engines.conftest import FRAME

pytest.importorskip("onnxruntime")
CLICK = Prompt.click(106, 90)
SIDE = 224
"""Side of the encoder's picture; small, because ONNX Runtime does the GPU's work."""


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch):
    """Restore the switches of the stand-in."""
    for kind, name in (
        (fake.Builder, "failure"), (fake.Builder, "parser_refuses"), (fake.Builder, "builds"),
        (fake.IExecutionContext, "capturable"), (fake.IExecutionContext, "fails"),
        (fake.IExecutionContext, "grumbles"), (fake.Runtime, "starts"),
    ):  # fmt: skip
        monkeypatch.setattr(kind, name, getattr(kind, name))
    monkeypatch.setattr(fake.IExecutionContext, "made", [])


@pytest.fixture
def opened(weights_folder: Path, engine_cache: Path, monkeypatch: pytest.MonkeyPatch):
    """Open an engine on a stand-in, and close it afterwards."""
    halves = []

    def open_(frame_size=FRAME, device=None, rtx=False, report=lambda line: None, **settings):
        device = device or fake.HostDevice()
        monkeypatch.setattr(tensorrt, "find_library", lambda: fake.fake_library(rtx=rtx))
        monkeypatch.setattr(tensorrt, "open_device", lambda: device)
        chosen = EngineSettings("tensorrt", cache_dir=engine_cache, **{"picture_side": SIDE, **settings})
        pair = load(chosen, weights_folder, frame_size=frame_size, report=report)
        halves.extend(pair)
        return *pair, device

    yield open_
    for half in halves:
        half.close()


@pytest.fixture(scope="module")
def reference(weights_folder: Path, engine_cache: Path):
    """Decode with ONNX Runtime's own float32 engine."""
    settings = EngineSettings("onnxruntime", cache_dir=engine_cache, picture_side=SIDE)
    return load(settings, weights_folder, frame_size=FRAME)


@pytest.fixture(scope="module")
def wanted(reference, picture):
    return reference[1].decode(reference[0].encode(picture), [CLICK])


def same(found, wanted) -> bool:
    return all(iou(a > 0, b > 0) > 0.95 for a, b in zip(found.logits, wanted.logits, strict=True))


@pytest.mark.parametrize(("precision", "error"), [("auto", 0.02), ("f32", 1e-4)])
@pytest.mark.parametrize("rtx", [False, True], ids=["tensorrt", "rtx"])
def test_masks_are_those_of_another_engine(opened, reference, picture, precision, error, rtx):
    encoder, decoder, _ = opened(precision=precision, rtx=rtx)
    assert encoder.info.precision == ("f16" if precision == "auto" else "f32")
    content = cv2.resize(picture, (SIDE, SIDE * 4 // 7))  # so that only arithmetic can differ, not resizing
    prompts = [Prompt.click(80, 63), Prompt.click(170, 66)]
    wanted = reference[1].decode(reference[0].encode(content), prompts)
    for _ in range(2):  # as it is, and recorded
        for ours, theirs in zip(decoder.decode(encoder.encode(content), prompts), wanted, strict=True):
            assert np.linalg.norm(ours.logits - theirs.logits) < error * np.linalg.norm(theirs.logits)
            assert np.abs(ours.predicted_iou - theirs.predicted_iou).max() < error


def test_encoding_and_decoding_have_streams_of_their_own(opened, picture):
    encoder, decoder, device = opened()
    decoder.decode(encoder.encode(picture), [CLICK])
    encoding, decoding = (stream.handle for stream in device.streams)
    used = sorted(sorted(context.streams) for context in fake.IExecutionContext.made)
    assert used == [[encoding], [encoding], *[[decoding]] * len(BUILT)]
    assert [stream.high_priority for stream in device.streams] == [False, True]


def test_once_open_nothing_is_allocated_and_everything_is_launched(opened, picture):
    encoder, decoder, device = opened()
    before = dict(device.counts)
    for count in (1, 2, 3, 4, 5):  # fixations, and votes on them
        decoder.decode(encoder.encode(picture), [CLICK] * count)
    after = device.counts
    assert {name: after[name] - before.get(name, 0) for name in ("allocate", "pinned", "record")} == {
        "allocate": 0, "pinned": 0, "record": 0,
    }  # fmt: skip
    assert after["launch"] - before.get("launch", 0) == 11  # two prompts go one by one


def test_embeddings_stay_on_the_device_and_frames_are_uploaded_whole(opened, picture):
    encoder, decoder, device = opened()
    device.counts.clear()
    embedding = encoder.encode(picture)
    assert device.counts["upload bytes"] == picture.nbytes
    assert device.counts["download bytes"] == 0
    decoder.decode(embedding, [CLICK])
    assert device.counts["download bytes"] == 4 * (4 * 256 * 256 + 4)
    assert device.counts["upload bytes"] - picture.nbytes == 4 * (2 * 256 + 2)


def test_an_embedding_that_is_held_is_not_written_again(opened, picture, wanted):
    encoder, decoder, _ = opened()
    kept = encoder.encode(picture)
    others = [encoder.encode(255 - picture) for _ in range(3)]
    (found, _) = decoder.decode(kept, [CLICK, Prompt.click(245, 95)])
    assert same(found, wanted[0])
    assert not same(decoder.decode(others[-1], [CLICK])[0], wanted[0])


def test_memory_of_embeddings_that_were_let_go_is_used_again(opened, picture):
    encoder, _, device = opened()
    before = device.counts["allocate"]
    for _ in range(3 * embedding_slots.MIN_SLOTS):
        encoder.encode(picture)
        gc.collect()
    assert device.counts["allocate"] == before


def test_embeddings_cannot_be_hoarded(opened, picture):
    encoder, _, _ = opened()
    held = [encoder.encode(picture) for _ in range(embedding_slots.MAX_SLOTS)]
    with pytest.raises(EngineError, match="8 embeddings are held at once"):
        encoder.encode(picture)
    held.pop()
    encoder.encode(picture)


@pytest.mark.parametrize("more", [{}, {"stream": 7}], ids=["ready", "in another stream"])
def test_frames_may_lie_on_the_device(opened, picture, wanted, more):
    encoder, decoder, device = opened()
    device.counts.clear()
    embedding = encoder.encode(fake.OnDevice(picture, **more))
    assert device.counts["upload bytes"] == 0
    assert device.counts["finish"] == len(more)
    assert same(decoder.decode(embedding, [CLICK])[0], wanted[0])
    assert same(decoder.decode(encoder.encode(picture), [CLICK])[0], wanted[0])


def test_an_invalid_picture_on_the_device_is_refused(opened, picture):
    encoder, _, _ = opened()
    with pytest.raises(PromptError, match=r"of <f4|must be"):
        encoder.encode(fake.OnDevice(picture.astype(np.float32)))
    rows = picture.shape[1] * 4
    with pytest.raises(PromptError, match="packed row by row"):
        encoder.encode(fake.OnDevice(picture, strides=(rows, 4, 1)))
    packed = (picture.shape[1] * 3, 3, 1)
    encoder.encode(fake.OnDevice(picture, strides=packed))


@pytest.mark.parametrize("why", ["no graphs here", "not capturable"])
def test_it_runs_where_nothing_can_be_recorded(opened, picture, wanted, why, monkeypatch):
    monkeypatch.setattr(fake.IExecutionContext, "capturable", why != "not capturable")
    encoder, decoder, device = opened(device=fake.HostDevice(graphs=why != "no graphs here"), rtx=True)
    for _ in range(2):
        (found,) = decoder.decode(encoder.encode(picture), [CLICK])
        assert same(found, wanted[0])
    assert device.counts["record"] == 0


def test_it_runs_where_recording_fails(opened, picture, wanted, caplog):
    class Stubborn(fake.HostDevice):
        def capture_graph(self, stream, work):
            raise RuntimeError("operation not permitted when stream is capturing")

    encoder, decoder, _ = opened(device=Stubborn())
    assert same(decoder.decode(encoder.encode(picture), [CLICK])[0], wanted[0])
    assert "without CUDA graphs: operation not permitted" in caplog.text


@pytest.mark.parametrize(("count", "batch"), [(1, 1), (3, 4), (4, 4), (5, 8)])
def test_each_number_of_prompts_has_its_bucket(opened, picture, count, batch):
    encoder, decoder, device = opened()
    embedding = encoder.encode(picture)
    decoder.decode(embedding, [CLICK] * count)
    device.counts.clear()
    found = decoder.decode(embedding, [CLICK] * count)
    assert len(found) == count
    assert device.counts["launch"] == 1
    assert device.counts["download bytes"] == batch * 4 * (4 * 256 * 256 + 4)


def test_a_failing_run_reports_the_reason(opened, picture, monkeypatch):
    encoder, decoder, _ = opened(device=fake.HostDevice(graphs=False))
    embedding = encoder.encode(picture)
    monkeypatch.setattr(fake.IExecutionContext, "fails", "Cuda Runtime (an illegal memory access was encountered)")
    with pytest.raises(EngineError, match=r"failed to run .*illegal memory access"):
        decoder.decode(embedding, [CLICK])
    with pytest.raises(EngineError, match="illegal memory access"):
        encoder.encode(picture)


def test_a_recovered_error_is_not_the_reason_of_a_later_failure(opened, picture, monkeypatch):
    monkeypatch.setattr(fake.IExecutionContext, "grumbles", "kernels of another version were refused")
    encoder, _, _ = opened(device=fake.HostDevice(graphs=False))
    for why in ("an illegal memory access was encountered", "out of memory"):
        monkeypatch.setattr(fake.IExecutionContext, "fails", why)
        with pytest.raises(EngineError, match=f"failed to run .*: {why}"):
            encoder.encode(picture)


def test_a_driver_that_is_too_old_is_reported_in_one_line(opened, monkeypatch):
    monkeypatch.setattr(fake.Runtime, "starts", False)
    with pytest.raises(EngineUnavailable, match=r"cannot start: CUDA initialization failure .*35; is the driver new"):
        opened()


def test_the_device_is_not_synchronized_during_a_graph_capture(opened, picture):
    """CUDA refuses both, and the threads of encoder and decoder would collide."""

    class Watched(fake.HostDevice):
        def capture_graph(self, stream, work):
            assert gpu.CAPTURE_LOCK.locked()
            return super().capture_graph(stream, work)

        def synchronize(self):
            assert gpu.CAPTURE_LOCK.locked()
            super().synchronize()

    encoder, _, device = opened(device=Watched())
    encoder.encode(fake.OnDevice(picture, stream=7))
    assert device.counts["finish"] == 1
    assert device.counts["record"] > 0
    assert not gpu.CAPTURE_LOCK.locked()


def test_kernels_that_rtx_compiled_are_kept(opened, picture, engine_cache):
    opened(rtx=True)
    assert [kept.read_bytes() for kept in engine_cache.glob("*.kernels")]
    opened(rtx=True)
    assert all(context.kernels.given == b"kernels" for context in fake.IExecutionContext.made[2 + len(BUILT) :])


def test_encoder_and_decoder_run_at_once(opened, picture, wanted):
    encoder, decoder, _ = opened()
    embedding = encoder.encode(picture)
    done = threading.Event()

    def encode() -> None:
        encoder.encode(255 - picture)
        done.set()

    worker = threading.Thread(target=encode)
    worker.start()
    while not done.is_set():
        assert same(decoder.decode(embedding, [CLICK])[0], wanted[0])
    worker.join()


def test_a_frame_of_the_contents_size_needs_no_resizing(opened):
    encoder, decoder, _ = opened(frame_size=(224, 128))
    frame = np.full((128, 224, 3), 90, np.uint8)
    frame[40:80, 60:100] = 240
    (found,) = decoder.decode(encoder.encode(frame), [Prompt.click(80, 60)])
    assert found.letterbox.logits_to_picture(found.logits[found.best_index])[60, 80] > 0
    assert len(fake.IExecutionContext.made) == 1 + len(BUILT)


def test_the_progress_of_a_build_is_reported_and_may_stop_it(opened, tmp_path, weights_folder, monkeypatch):
    class Report:
        def __init__(self) -> None:
            self.lines: list[str] = []
            self.reported: list[tuple[int, int, str]] = []
            self.stop_at = 2000

        def __call__(self, line: str) -> None:
            self.lines.append(line)

        def steps(self, done: int, total: int, text: str) -> None:
            self.reported.append((done, total, text))
            if done >= self.stop_at:
                raise KeyboardInterrupt

    device, report = fake.HostDevice(), Report()
    monkeypatch.setattr(tensorrt, "find_library", fake.fake_library)
    monkeypatch.setattr(tensorrt, "open_device", lambda: device)
    store = tensorrt.open_store(EngineSettings("tensorrt", cache_dir=tmp_path), weights_folder, report)
    settings = EngineSettings("tensorrt", cache_dir=tmp_path)
    graph = DecoderGraph.of(Letterbox(*FRAME, picture_side=SIDE), 1, 2, False)
    tensorrt.build_plans(settings, store, [graph], force=False)
    shares = [done for done, _, _ in report.reported]
    assert shares == sorted(shares)
    assert (shares[0] > 0, shares[-1]) == (True, 1000)
    assert report.reported[0][1:] == (1000, graph.name)
    assert any("building decoder" in line and "Fake 9000" in line for line in report.lines)
    report.stop_at = 500
    with pytest.raises(KeyboardInterrupt):
        tensorrt.build_plans(settings, store, [graph], force=True)
    assert fake.Builder.builds == 1


def test_a_quantised_engine_that_was_not_built_is_not_pretended(opened):
    with pytest.raises(EngineUnavailable, match="gazecast engine build --engine tensorrt --precision int8"):
        opened(precision="int8")


def test_graphs_for_pictures_of_the_same_shape_share_a_plan():
    assert EncoderGraph.of(Letterbox(1280, 720)) == EncoderGraph.of(Letterbox(854, 480))
