"""Builds a plan from a typed ONNX graph: parses it, checks every layer's type, and builds."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, wait
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path
from typing import Any

from engines import cache
from engines.backends.tensorrt.layers import find_wrong_types, read_layers
from engines.backends.tensorrt.library import TensorRtLibrary, last_error, make_logger
from engines.backends.tensorrt.progress import Steps, make_monitor
from engines.base import EngineUnavailable, ModelError
from engines.number_formats import NumberFormat

MEMORY_WORDS = ("out of memory", "outofmemory", "insufficient memory", "failed to allocate", "mem_alloc", "allocation")


def build_plan(
    library: TensorRtLibrary,
    file: Path,
    numbers: NumberFormat,
    *,
    targets: Sequence[Any] = (),
    timing: Path | None = None,
    steps: Steps | None = None,
    current: Callable[[], AbstractContextManager[Any]] = nullcontext,
) -> bytes:
    """Build a plan from the graph in `file`; Ctrl-C stops it.

    targets: of `TensorRtLibrary.capability`; without them the plan is for the GPU of this machine. timing:
    file of the timing cache, kept between builds. steps: called with the progress; may raise to stop the
    build. current: makes the GPU's context current on the thread that builds.
    Raises `ModelError` for a graph that cannot be built, `EngineUnavailable` where this machine lacks a requirement.
    """
    monitor = make_monitor(library.trt, steps)

    def work() -> bytes:
        with current():
            return _build(library, file, numbers, targets, timing, monitor)

    return _build_on_thread(work, monitor)


def _build_on_thread(work: Callable[[], bytes], monitor: Any) -> bytes:
    """Build on a separate thread, and stop the build if this thread is interrupted.

    Ctrl-C raises in the main thread at any point. In a callback of the builder, such as its logger's, the exception
    would be printed and lost.
    """
    done: Future[bytes] = Future()

    def run() -> None:
        try:
            done.set_result(work())
        except BaseException as error:
            done.set_exception(error)

    threading.Thread(target=run, name="build-plan", daemon=True).start()
    try:
        # Not by joining: a join that was interrupted takes the thread for ended. Not for ever: on Windows nothing
        # interrupts that.
        while not done.done():
            wait([done], timeout=0.1)
    except BaseException:
        monitor.stopped = True
        wait([done])
        raise
    return done.result()


def _build(
    library: TensorRtLibrary,
    file: Path,
    numbers: NumberFormat,
    targets: Sequence[Any],
    timing: Path | None,
    monitor: Any,
) -> bytes:
    trt = library.trt
    log = make_logger(trt)
    builder = library.create("Builder", log)
    network = parse_onnx(library, builder, log, file)
    wrong = find_wrong_types(read_layers(trt, network), numbers)
    if wrong:
        raise ModelError(f"{file.name} is not {numbers} as it was meant: {wrong[0]} ({len(wrong)} such layers)")
    config = builder.create_builder_config()
    config.progress_monitor = monitor
    _configure(library, config, numbers, targets)
    kept = _load_timing_cache(library, config, timing)
    log.lines.clear()  # of mismatched timings; not the reason of any later failure
    plan = builder.build_serialized_network(network, config)
    if monitor.raised is not None:
        raise monitor.raised
    if plan is None:
        raise _failure(library, file, last_error(log))
    if kept is not None and timing is not None:
        # Without them only the next build is slower.
        with suppress(ModelError), cache.atomic_write(timing) as partial:
            partial.write_bytes(bytes(config.get_timing_cache().serialize()))
    return bytes(plan)


def parse_onnx(library: TensorRtLibrary, builder: Any, log: Any, file: Path) -> Any:
    """Parse an ONNX file into a strongly typed network; raises `ModelError` naming an unsupported operator."""
    trt = library.trt
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, log)
    if not parser.parse_from_file(str(file)):
        errors = [parser.get_error(index) for index in range(parser.num_errors)]
        if not errors:
            raise ModelError(f"{library.name} {library.version} cannot read {file.name}: {last_error(log)}")
        first = errors[0]
        raise ModelError(
            f"{library.name} {library.version} cannot use {file.name}: operator {first.node_operator() or '?'} "
            f"({first.node_name() or 'unnamed'}): {' '.join(first.desc().split())[:300]}"
        )
    return network


def _configure(library: TensorRtLibrary, config: Any, numbers: NumberFormat, targets: Sequence[Any]) -> None:
    trt = library.trt
    if numbers == "f32":
        config.clear_flag(trt.BuilderFlag.TF32)  # which keeps 10 of 23 bits
    if targets:
        config.num_compute_capabilities = len(targets)
        for index, target in enumerate(targets):
            config.set_compute_capability(target, index)
    if library.rtx:
        # Without it a context may allocate while it runs, which no CUDA graph can record.
        config.set_flag(trt.BuilderFlag.REQUIRE_USER_ALLOCATION)


def _load_timing_cache(library: TensorRtLibrary, config: Any, file: Path | None) -> Any | None:
    """Load matching timings of earlier builds; TensorRT-RTX has no timing cache."""
    if library.rtx or file is None:
        return None
    cache = config.create_timing_cache(file.read_bytes() if file.is_file() else b"")
    if cache is None or not config.set_timing_cache(cache, ignore_mismatch=False):
        cache = config.create_timing_cache(b"")
        config.set_timing_cache(cache, ignore_mismatch=False)
    return cache


def _failure(library: TensorRtLibrary, file: Path, why: str) -> Exception:
    """Return a one-line error for a builder that returned nothing."""
    reason = why.lower()
    if any(word in reason for word in MEMORY_WORDS):
        return EngineUnavailable(
            f"{library.name} ran out of GPU memory while it built {file.name}; close what else uses the GPU, or choose "
            f"precision f16 or model mobile_sam ({why})"
        )
    if "fp8" in reason:
        return EngineUnavailable(f"this GPU has no fp8 (Ada and newer have); choose precision f16 or int8 ({why})")
    return ModelError(f"{library.name} {library.version} did not build {file.name}: {why}")
