"""Stores plans on disk: built on first use, and refused if built for another machine or version."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engines import cache
from engines.backends.tensorrt.build import build_plan
from engines.backends.tensorrt.library import TensorRtLibrary
from engines.backends.tensorrt.progress import Steps
from engines.graph_store import GraphStore
from engines.graphs import DecoderGraph, EncoderGraph, LetterboxGraph
from engines.letterbox import MODEL_SIDE, TOKEN_PX
from engines.number_formats import NumberFormat

AnyGraph = EncoderGraph | DecoderGraph | LetterboxGraph


@dataclass(frozen=True, slots=True)
class GpuInfo:
    """Identifies a plan's GPU. compute: capability such as "8.9". driver: its version, as the system reports it."""

    name: str
    compute: str
    driver: str


class PlanStore:
    """A store that holds the plans of one model, precision, GPU and TensorRT."""

    def __init__(
        self, library: TensorRtLibrary, gpu: GpuInfo, store: GraphStore, precision: NumberFormat, *,
        current: Callable[[], AbstractContextManager[Any]] = nullcontext, steps: Steps | None = None,
    ) -> None:  # fmt: skip
        """Create the store. current, steps: see `build_plan`."""
        self.library, self._gpu, self._store, self._precision = library, gpu, store, precision
        self._current, self._steps = current, steps

    def plan(self, graph: AnyGraph, *, force: bool = False) -> Path:
        """Return the plan of a graph; `force` rebuilds it.

        Raises `ModelError` for a mismatched plan, with the command that rebuilds it.
        """
        numbers = self.numbers(graph)
        command = self._command(graph)
        typed = self._store.typed_file(graph, numbers, force=force, rebuild=command)
        key = self._key(graph, numbers, typed)
        file = self._place(graph, numbers)
        if not force and cache.find_cached(file, key, rebuild=command) is not None:
            return file
        self._build(graph, numbers, typed, file)
        cache.write_note(file, f"{graph.name}-{numbers}-plan", key)
        return file

    def numbers(self, graph: AnyGraph) -> NumberFormat:
        """Return a graph's number format: only encoders are quantised, and resizing is float32 in all precisions."""
        if isinstance(graph, LetterboxGraph):
            return "f32"
        if isinstance(graph, DecoderGraph) and self._precision in ("int8", "fp8"):
            return "f16"
        return self._precision

    def _place(self, graph: AnyGraph, numbers: NumberFormat) -> Path:
        """Return one path for all machines, so that a foreign plan is found and refused, not overlooked."""
        identity = self._store.key(format="tensorrt", shape=graph.name, numbers=numbers, library=self.library.name)
        return cache.file_path(self._store.root, f"{self._store.model}-{graph.name}-{numbers}", identity, ".plan")

    def _key(self, graph: AnyGraph, numbers: NumberFormat, typed: Path) -> Mapping[str, str]:
        return self._store.key(
            format="tensorrt", shape=graph.name, numbers=numbers, library=self.library.name,
            version=self.library.version, compute=self._gpu.compute, driver=self._gpu.driver,
            onnx=cache.file_hash(typed),
        )  # fmt: skip

    def _build(self, graph: AnyGraph, numbers: NumberFormat, typed: Path, file: Path) -> None:
        library, compute = self.library, self._gpu.compute
        capability = library.capability(compute)
        self._store.report(
            f"building {graph.name} in {numbers} with {library.name} {library.version} for {self._gpu.name}"
        )
        machine = re.sub(r"[^\w.-]", "_", f"{library.version}-{compute}")
        steps = self._steps
        plan = build_plan(
            library, typed, numbers,
            targets=() if capability is None else (capability,),
            timing=self._store.root / f"timings-{machine}.cache",
            steps=steps and (lambda done, total, phase: steps(done, total, graph.name)), current=self._current,
        )  # fmt: skip
        # The note is deleted first: a file without one is ignored, so an interrupted build is not used.
        cache.note_path(file).unlink(missing_ok=True)
        kernels_path(file).unlink(missing_ok=True)
        with cache.atomic_write(file) as partial:
            partial.write_bytes(plan)

    def _command(self, graph: AnyGraph) -> str:
        """Return the command that rebuilds a plan; an engine depends on a frame's aspect ratio, not on its size."""
        if isinstance(graph, DecoderGraph):
            size = content = graph.columns * TOKEN_PX, graph.rows * TOKEN_PX
        elif isinstance(graph, EncoderGraph):
            size = content = graph.width, graph.height
        else:
            size, content = (graph.width, graph.height), (graph.content_width, graph.content_height)
        model = "" if self._store.model == "mobile_sam" else f" --model {self._store.model}"
        side = "" if max(content) >= MODEL_SIDE else f" --picture-side {max(content)}"
        return (
            f"run `gazecast engine build --engine tensorrt{model} --precision {self._precision}{side} "
            f"--frame {size[0]}x{size[1]} --force`"
        )


def kernels_path(plan: Path) -> Path:
    """Return the path of the kernels that TensorRT-RTX compiled for a plan at its first run."""
    return plan.with_suffix(".kernels")
