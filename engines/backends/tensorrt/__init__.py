"""Runs strongly typed networks with TensorRT 10.8 to 11 or TensorRT-RTX on an NVIDIA GPU.

Not yet run on a GPU: docs/guides/gpu.md lists the checks done without one.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from engines.backends.tensorrt.device import CudaDevice, open_device
from engines.backends.tensorrt.library import TensorRtLibrary, find_library
from engines.backends.tensorrt.plans import AnyGraph, PlanStore
from engines.backends.tensorrt.runner import TensorRtRuntime
from engines.base import Prompt
from engines.graph_store import GraphStore
from engines.graphs import BATCHES
from engines.number_formats import NumberFormat
from engines.sam import SamDecoder, SamEncoder, open_sam, open_store
from engines.settings import EngineSettings, Report


def open_engine(
    settings: EngineSettings, weights: Path | None, frame_size: tuple[int, int] | None, report: Report
) -> tuple[SamEncoder, SamDecoder]:
    """See `engines.load`."""
    store = open_store(settings, weights, report)
    library, device = find_library(), open_device()
    runtime = TensorRtRuntime(library, device, _plans(settings, store, library, device))
    pair = open_sam(
        settings, store, runtime,
        precision=resolve_precision(settings), device=device.gpu.name,
        versions={library.name: library.version, "driver": device.gpu.driver, **device.versions},
        frame_size=frame_size, on_gpu=True,
    )  # fmt: skip
    if frame_size is not None:
        _warm_up(*pair, frame_size)
    return pair


def check_available() -> None:
    """Raise `EngineUnavailable` without TensorRT or a GPU, before any slow work."""
    library, device = find_library(), open_device()
    library.capability(device.gpu.compute)


def build_plans(settings: EngineSettings, store: GraphStore, graphs: Sequence[AnyGraph], *, force: bool) -> None:
    """Build the plans of graphs for this machine's GPU; `force` rebuilds existing ones."""
    library, device = find_library(), open_device()
    plans = _plans(settings, store, library, device)
    for graph in graphs:
        plans.plan(graph, force=force)


def resolve_precision(settings: EngineSettings) -> NumberFormat:
    """Resolve the precision "auto" for this GPU."""
    return "f16" if settings.precision == "auto" else settings.precision


def _plans(settings: EngineSettings, store: GraphStore, library: TensorRtLibrary, device: CudaDevice) -> PlanStore:
    steps = getattr(store.report, "steps", None)
    return PlanStore(library, device.gpu, store, resolve_precision(settings), current=device.make_current, steps=steps)


_BOXED = Prompt(np.zeros((1, 2), np.float32), np.ones(1, np.int8), np.array([0, 0, 1, 1], np.float32))
"""The prompt of a held object: a point and its box."""


def _warm_up(encoder: SamEncoder, decoder: SamDecoder, frame_size: tuple[int, int]) -> None:
    """Run every graph once per slot, so that plans are built and CUDA graphs captured beforehand."""
    width, height = frame_size
    grey = np.full((height, width, 3), 128, np.uint8)
    held = [encoder.encode(grey), encoder.encode(grey)]
    for embedding in held:
        for count in BATCHES:  # the prompt of a gaze sample, and its votes
            decoder.decode(embedding, [Prompt.click(width // 2, height // 2)] * count)
        decoder.decode(embedding, [_BOXED])
