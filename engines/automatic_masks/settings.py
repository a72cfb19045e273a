"""Defines the settings of automatic masks, the grid of clicks, and the crops of a picture."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from engines.base import STABILITY_OFFSET, Floats

Crop = tuple[int, int, int, int]
"""x0, y0, x1, y1 px of the picture, x1 and y1 excluded."""


@dataclass(frozen=True, slots=True)
class AutomaticSettings:
    """Holds the settings of SAM's automatic mask generator; defaults as in segment-anything 1.0.

    Kirillov et al., "Segment Anything", ICCV 2023, section 5 and appendix B; SA-1B itself was made with more crops.

    points_per_side: clicks along each side of a square grid over the whole picture.
    least_predicted_iou: a mask's predicted IoU must exceed it.
    least_stability: the IoU of a mask cut at logits of +offset and of -offset must reach it. stability_offset: logits.
    duplicate_iou: of two masks whose boxes have a greater IoU the one with the lower predicted IoU is removed.
    crop_layers: layer n segments 4 ** n overlapping parts of the picture, for small objects; 0 for none.
    crop_overlap: of the crops of the first layer, as a share of the picture's shorter side.
    crop_points_divisor: the crops of layer n have points_per_side / divisor ** n clicks a side.
    crop_duplicate_iou: as duplicate_iou, between crops; the mask of the smaller crop stays.
    crop_edge_px: a mask so near to an edge of its crop inside the picture was cut, and is removed.
    clicks_at_once: of one decoder call; with fewer, other users of the decoder wait less.
    smallest_region_px: holes of fewer pixels are filled, and such islands removed; 0 for neither.
    """

    points_per_side: int = 32
    least_predicted_iou: float = 0.88
    least_stability: float = 0.95
    stability_offset: float = STABILITY_OFFSET
    duplicate_iou: float = 0.7
    crop_layers: int = 0
    crop_overlap: float = 512 / 1500
    crop_points_divisor: int = 1
    crop_duplicate_iou: float = 0.7
    crop_edge_px: float = 20.0
    clicks_at_once: int = 8
    smallest_region_px: int = 0

    def __post_init__(self) -> None:
        """Raise `ValueError` for settings that would find no mask, or never end."""
        for name, low, high in (
            ("points_per_side", 1, 256), ("clicks_at_once", 1, 64), ("crop_layers", 0, 4),
            ("crop_points_divisor", 1, 16),
            ("least_predicted_iou", 0, 1), ("least_stability", 0, 1), ("duplicate_iou", 0, 1),
            ("crop_duplicate_iou", 0, 1), ("stability_offset", 0, 100), ("crop_edge_px", 0, math.inf),
            ("smallest_region_px", 0, math.inf),
        ):  # fmt: skip
            if not low <= getattr(self, name) <= high:
                raise ValueError(f"{name} must be {low} to {high}, got {getattr(self, name)}")
        if not 0 <= self.crop_overlap < 1:
            raise ValueError(f"crop_overlap must be 0 to less than 1, got {self.crop_overlap}")

    def side_of(self, layer: int) -> int:
        """Return the clicks along each side of a crop of a layer; the picture itself is layer 0."""
        return max(1, int(self.points_per_side / self.crop_points_divisor**layer))


def click_grid(side: int, crop: Crop) -> Floats:
    """Return the centres of side * side equal parts of a crop, row by row, (side * side, 2) picture pixels."""
    x0, y0, x1, y1 = crop
    middles = (np.arange(side) + 0.5) / side
    xs, ys = np.meshgrid(x0 + middles * (x1 - x0) - 0.5, y0 + middles * (y1 - y0) - 0.5)
    return np.stack([xs.ravel(), ys.ravel()], 1).astype(np.float32)


def crop_boxes(width: int, height: int, settings: AutomaticSettings) -> Iterator[tuple[int, Crop]]:
    """Yield (layer, crop) of the picture itself, and then of every crop that has pixels."""
    yield 0, (0, 0, width, height)
    for layer in range(1, settings.crop_layers + 1):
        count = 2**layer
        overlap = int(settings.crop_overlap * min(width, height) * 2 / count)
        wide, tall = (math.ceil((overlap * (count - 1) + side) / count) for side in (width, height))
        for column in range(count):
            for row in range(count):
                x0, y0 = column * (wide - overlap), row * (tall - overlap)
                crop = x0, y0, min(x0 + wide, width), min(y0 + tall, height)
                if x0 < crop[2] and y0 < crop[3]:
                    yield layer, crop
