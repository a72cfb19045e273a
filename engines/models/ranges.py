"""Measures the input ranges of an encoder's linear layers, which set the 8-bit scales."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from engines.base import Image, PromptError
from engines.graphs import EncoderGraph
from engines.models.checkpoint import SamModel
from engines.models.graphs import build_module
from engines.pictures import resize_and_crop, sample_evenly

if TYPE_CHECKING:
    from engines.number_formats import Ranges

MAX_IMAGES = 12
QUANTILE = 0.9999
"""Of a picture's magnitudes; the few beyond it saturate, for a finer step everywhere else."""
SAMPLES = 1_000_000
"""Of a layer's inputs that the quantile is taken over; torch refuses more than 16 million."""


@torch.inference_mode()
def measure_ranges(sam: SamModel, graph: EncoderGraph, pictures: Sequence[Image]) -> Ranges:
    """Measure each linear layer's largest input magnitude, by its name in the exported graph.

    pictures: (H, W, 3) uint8 BGR of any size; each is cut to the shape of `graph`. Raises `PromptError` for none.
    """
    if not pictures:
        raise PromptError("quantising needs real pictures; give a folder of them or a video")
    net = build_module(sam, graph)
    found: dict[str, float] = {}
    hooks = [
        part.register_forward_pre_hook(partial(_record_range, found, name))
        for name, part in net.named_modules()
        if name.startswith("encoder.") and isinstance(part, nn.Linear)
    ]
    try:
        for picture in sample_evenly(pictures, MAX_IMAGES):
            net(torch.from_numpy(resize_and_crop(picture, (graph.width, graph.height))))
    finally:
        for hook in hooks:
            hook.remove()
    return found


def _record_range(found: dict[str, float], name: str, layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
    tokens = inputs[0].abs().flatten(0, -2)
    step = -(-tokens.numel() // SAMPLES)  # whole tokens are skipped, so that every channel is measured
    found[name] = max(found.get(name, 0.0), float(tokens[::step].flatten().quantile(QUANTILE)))
