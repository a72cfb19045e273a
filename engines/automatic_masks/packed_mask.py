"""One thing that was found in a picture, packed so that hundreds of them fit into memory."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field

import numpy as np

from engines.base import Mask

Box = tuple[int, int, int, int]
"""x, y, width, height, pixels."""


@dataclass(frozen=True, slots=True, eq=False)
class AutomaticMask:
    """One mask of a picture.

    size: (width, height) of the picture. box_xywh: of the pixels inside, all 0 of none. area_px: their number.
    predicted_iou: what the decoder believes. stability_score: see `AutomaticSettings.least_stability`. Both 0..1.
    point_coords: the clicks on it, picture pixels; empty for a box. crop_box: the part that was looked at, x, y,
    width, height.
    """

    size: tuple[int, int]
    box_xywh: Box
    area_px: int
    predicted_iou: float
    stability_score: float
    point_coords: tuple[tuple[float, float], ...]
    crop_box: Box
    packed: bytes = field(repr=False)

    @property
    def cropped_mask(self) -> Mask:
        """(h, w) bool, the mask within its box; unpacked anew every time."""
        _, _, width, height = self.box_xywh
        bits = np.frombuffer(zlib.decompress(self.packed), np.uint8)
        return np.unpackbits(bits, count=width * height).reshape(height, width).astype(np.bool_)

    @property
    def mask(self) -> Mask:
        """(H, W) bool over the whole picture; made anew every time."""
        x, y, width, height = self.box_xywh
        whole = np.zeros(self.size[::-1], np.bool_)
        whole[y : y + height, x : x + width] = self.cropped_mask
        return whole


def pack_mask(part: Mask, corner: tuple[int, int]) -> tuple[Box, int, bytes]:
    """Box, area and packed bits of a mask whose (h, w) part with its top left pixel at `corner` has all of it."""
    box = bounding_box(part)
    x, y, width, height = box
    if not width:
        return box, 0, zlib.compress(b"")
    inside = part[y : y + height, x : x + width]
    bits = zlib.compress(np.packbits(inside).tobytes(), 1)
    return (x + corner[0], y + corner[1], width, height), int(np.count_nonzero(inside)), bits


def bounding_box(mask: Mask) -> Box:
    """The box round what is inside a mask, all 0 of none."""
    columns, rows = np.flatnonzero(mask.any(0)), np.flatnonzero(mask.any(1))
    if not len(rows):
        return 0, 0, 0, 0
    x, y = int(columns[0]), int(rows[0])
    return x, y, int(columns[-1]) + 1 - x, int(rows[-1]) + 1 - y
