"""Runs MediaPipe's networks with OpenVINO, and decodes the parts that they share."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.base import Floats, Image, ModelError
from engines.openvino_core import compile_for_latency, open_core

_MAX_LOGIT = 100.0
Network = Callable[[Floats], tuple[Any, ...]]
"""Maps the network's only input to all of its outputs."""


def compile_network(path: Path, model: str, threads: int) -> Network:
    """Compile a network of one input; raises `ModelError`. model: the name of its weights in the list of models."""
    try:
        core = open_core()
        compiled = compile_for_latency(core, core.read_model(path), threads, INFERENCE_PRECISION_HINT="f32")
    except RuntimeError as error:
        detail = str(error).strip().splitlines()[-1]
        raise ModelError(
            f"OpenVINO cannot use {path}: {detail}; fetch it again: gazecast models pull {model}"
        ) from error
    request = compiled.create_infer_request()

    def run(values: Floats) -> tuple[Any, ...]:
        request.infer([values])
        return tuple(request.get_output_tensor(index).data.copy() for index in range(len(compiled.outputs)))

    return run


def to_input(crop: Image) -> Floats:
    """Convert a BGR picture to a network's (1, H, W, 3) RGB of 0 to 1."""
    return np.ascontiguousarray(crop[None, ..., ::-1], np.float32) / np.float32(255)


def to_probability(logit: float) -> float:
    """Convert a logit to 0..1; NaN stays NaN."""
    return 1 / (1 + math.exp(-float(np.clip(logit, -_MAX_LOGIT, _MAX_LOGIT))))


def build_anchors(grids: Sequence[tuple[int, int]]) -> Floats:
    """Build the (N, 2) anchor centres of a detector, 0 to 1. grids: cells along a side, and anchors in each cell."""
    found = []
    for cells, anchors in grids:
        centres = (np.arange(cells, dtype=np.float32) + 0.5) / cells
        grid = np.stack(np.meshgrid(centres, centres), -1).reshape(-1, 2)
        found.append(np.repeat(grid, anchors, axis=0))
    return np.concatenate(found)


def decode_box(box: Floats, anchor: Floats, side: int) -> NDArray[np.float64]:
    """Decode a detector's box as x, y pairs in px of its input: centre, size, then its points.

    box: relative to its anchor. side: of the input, px.
    """
    places = box.reshape(-1, 2).astype(np.float64)
    places += anchor * side * (np.arange(len(places)) != 1)[:, None]  # the second pair is the size
    return places
