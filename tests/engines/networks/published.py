"""Opens segment-anything, the authors' own package, without torchvision, and makes checkpoints of random weights."""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

from engines.models.sam_vit_graph import VitShape

STUBS = {
    "torchvision": {}, "torchvision.ops": {}, "torchvision.ops.boxes": {"batched_nms": None, "box_area": None},
    "torchvision.transforms": {}, "torchvision.transforms.functional": {"resize": None, "to_pil_image": None},
}  # fmt: skip
"""Modules that the authors import for parts that are not used here."""


@contextmanager
def without_torchvision() -> Iterator[None]:
    """Put stubs in the place of torchvision where it is not installed."""
    missing = "torchvision" not in sys.modules
    if missing:
        for name, attributes in STUBS.items():
            sys.modules[name] = types.ModuleType(name)
            vars(sys.modules[name]).update(attributes)
    try:
        yield
    finally:
        if missing:
            for name in STUBS:
                del sys.modules[name]


def build_published(shape: VitShape, seed: int = 0) -> Any:
    """Build the authors' `Sam` with random weights."""
    with without_torchvision():
        build = pytest.importorskip("segment_anything.build_sam")._build_sam
        torch.manual_seed(seed)
        return randomize(build(shape.width, shape.depth, shape.heads, list(shape.global_blocks)))


def randomize(sam: Any) -> Any:
    """Change weights that begin as zeros or ones, so that none is without effect; returns the network, to evaluate."""
    for name, value in sam.state_dict().items():
        if value.is_floating_point() and (value.ndim == 1 or "pos" in name or "bias" in name):
            value += torch.randn_like(value).abs() * 0.05
    return sam.eval().requires_grad_(False)


def write_checkpoint(sam: Any, file: Path) -> None:
    """Write the weights as the authors publish theirs."""
    torch.save(sam.state_dict(), file)
