"""From a typed ONNX graph to a plan: parse, check every layer's type, build, or say in one line why not."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from engines.backends.tensorrt.layers import misfits, read_layers
from engines.backends.tensorrt.library import Library, make_logger, reason
from engines.base import EngineUnavailable, ModelError
from engines.number_formats import NumberFormat

Steps = Callable[[int, int, str], None]
"""Is told that so many steps of so many are done, of what."""
MEMORY_WORDS = ("out of memory", "outofmemory", "insufficient memory", "failed to allocate", "mem_alloc", "allocation")


def build_plan(
    library: Library,
    file: Path,
    numbers: NumberFormat,
    *,
    targets: Sequence[Any] = (),
    timing: Path | None = None,
    steps: Steps | None = None,
) -> bytes:
    """Build the graph in `file` into a plan.

    targets: of `Library.capability`; without them the plan is for the GPU of this machine. timing: where the timings of
    kernels are kept from one build to the next. steps: is told the progress, and may raise to stop the build.
    Raises `ModelError` for a graph that cannot be built, `EngineUnavailable` where this machine is not up to it.
    """
    trt = library.trt
    log = make_logger(trt)
    builder = trt.Builder(log)
    if builder is None:
        raise EngineUnavailable(f"{library.name} cannot start: {reason(log)}")
    network = parse(library, builder, log, file)
    wrong = misfits(read_layers(trt, network), numbers)
    if wrong:
        raise ModelError(f"{file.name} is not {numbers} as it was meant: {wrong[0]} ({len(wrong)} such layers)")
    config = builder.create_builder_config()
    monitor = _monitor(trt, steps)
    config.progress_monitor = monitor
    _configure(library, config, numbers, targets)
    kept = _take_timings(library, config, timing)
    plan = builder.build_serialized_network(network, config)
    if monitor.raised is not None:
        raise monitor.raised
    if plan is None:
        raise _failure(library, file, reason(log))
    if kept is not None and timing is not None:
        _write(timing, bytes(config.get_timing_cache().serialize()))
    return bytes(plan)


def parse(library: Library, builder: Any, log: Any, file: Path) -> Any:
    """The strongly typed network of an ONNX file; raises `ModelError` naming the operator that is in the way."""
    trt = library.trt
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, log)
    if not parser.parse_from_file(str(file)):
        errors = [parser.get_error(index) for index in range(parser.num_errors)]
        if not errors:
            raise ModelError(f"{library.name} {library.version} cannot read {file.name}: {reason(log)}")
        first = errors[0]
        raise ModelError(
            f"{library.name} {library.version} cannot use {file.name}: operator {first.node_operator() or '?'} "
            f"({first.node_name() or 'unnamed'}): {' '.join(first.desc().split())[:300]}"
        )
    return network


def _configure(library: Library, config: Any, numbers: NumberFormat, targets: Sequence[Any]) -> None:
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


def _take_timings(library: Library, config: Any, file: Path | None) -> Any | None:
    """Use the timings of earlier builds, where there are any that fit; TensorRT-RTX times nothing."""
    if library.rtx or file is None:
        return None
    cache = config.create_timing_cache(file.read_bytes() if file.is_file() else b"")
    if not config.set_timing_cache(cache, ignore_mismatch=False):
        cache = config.create_timing_cache(b"")
        config.set_timing_cache(cache, ignore_mismatch=False)
    return cache


def _write(file: Path, content: bytes) -> None:
    partial = file.with_suffix(f".{os.getpid()}.partial")
    partial.write_bytes(content)
    partial.replace(file)


def _failure(library: Library, file: Path, why: str) -> Exception:
    """The one line for a builder that returned nothing."""
    said = why.lower()
    if any(word in said for word in MEMORY_WORDS):
        return EngineUnavailable(
            f"{library.name} ran out of GPU memory while it built {file.name}; close what else uses the GPU, or choose "
            f"precision f16 or model mobile_sam ({why})"
        )
    if "fp8" in said:
        return EngineUnavailable(f"this GPU has no fp8 (Ada and newer have); choose precision f16 or int8 ({why})")
    return ModelError(f"{library.name} {library.version} did not build {file.name}: {why}")


def _monitor(trt: Any, steps: Steps | None) -> Any:
    """The builder's progress monitor: tells the share that is done of the outermost phases.

    An exception of `steps` cannot pass through the builder: it stops the build and is kept as `raised`.
    """

    class Monitor(trt.IProgressMonitor):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)
            self.raised: BaseException | None = None
            self._progress = Progress()

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            self._progress.start(phase_name, parent_phase, num_steps)

        def step_complete(self, phase_name: str, step: int) -> bool:
            self._progress.step(phase_name, step)
            return self._tell(phase_name)

        def phase_finish(self, phase_name: str) -> None:
            self._progress.finish(phase_name)
            self._tell(phase_name)

        def _tell(self, phase_name: str) -> bool:
            if steps is None or self.raised is not None:
                return self.raised is None
            try:
                steps(round(1000 * self._progress.share), 1000, phase_name)
            except BaseException as error:  # it goes on its way when the builder has returned
                self.raised = error
            return self.raised is None

    return Monitor()


class Progress:
    """The share that is done of nested phases: a phase's steps count equally, and a phase inside a step fills it.

    share: 0 to 1, never falling.
    """

    def __init__(self) -> None:
        self.share = 0.0
        self._phases: dict[str, tuple[str | None, int, int]] = {}

    def start(self, name: str, parent: str | None, steps: int) -> None:
        """A phase begins inside a step of its parent."""
        self._phases[name] = (parent if parent in self._phases else None, max(1, steps), 0)

    def step(self, name: str, index: int) -> None:
        """The step of that index is done."""
        if name in self._phases:
            parent, steps, _ = self._phases[name]
            self._phases[name] = (parent, steps, min(steps, index + 1))
            self._update(name)

    def finish(self, name: str) -> None:
        """A phase has ended, perhaps early."""
        if name in self._phases:
            parent, steps, _ = self._phases[name]
            self._phases[name] = (parent, steps, steps)
            self._update(name)
            del self._phases[name]

    def _update(self, name: str) -> None:
        parent, steps, done = self._phases[name]
        share = done / steps
        while parent is not None and parent in self._phases:
            grand, steps, done = self._phases[parent]
            share = min(1.0, (done + share) / steps)
            parent = grand
        self.share = max(self.share, min(1.0, share))
