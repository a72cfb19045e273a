"""Stores masks of one image as packed bits, so that hundreds fit into memory."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field

import numpy as np

from engines.base import Mask

Box = tuple[int, int, int, int]
"""x, y, width, height, pixels."""


@dataclass(frozen=True, slots=True, eq=False)
class AutomaticMask:
    """Holds one mask of an image with its scores.

    size: (width, height) of the picture. box_xywh: of the pixels inside, all 0 of none. area_px: their number.
    predicted_iou: the decoder's estimate. stability_score: see `AutomaticSettings.least_stability`. Both 0..1.
    point_coords: the clicks on it, picture pixels; empty for a box. crop_box: the part that was encoded, x, y,
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
        """Unpack the (h, w) bool mask within its box, at every call."""
        _, _, width, height = self.box_xywh
        bits = np.frombuffer(zlib.decompress(self.packed), np.uint8)
        return np.unpackbits(bits, count=width * height).reshape(height, width).astype(np.bool_)

    @property
    def mask(self) -> Mask:
        """Unpack the (H, W) bool mask over the whole image, at every call."""
        x, y, width, height = self.box_xywh
        whole = np.zeros(self.size[::-1], np.bool_)
        whole[y : y + height, x : x + width] = self.cropped_mask
        return whole


def pack_mask(part: Mask, corner: tuple[int, int]) -> tuple[Box, int, bytes]:
    """Pack a mask into its box, area and bits.

    part: (h, w) bool that contains the whole mask; its top left pixel is at `corner`.
    """
    box = bounding_box(part)
    x, y, width, height = box
    if not width:
        return box, 0, zlib.compress(b"")
    inside = part[y : y + height, x : x + width]
    bits = zlib.compress(np.packbits(inside).tobytes(), 1)
    return (x + corner[0], y + corner[1], width, height), int(np.count_nonzero(inside)), bits


def bounding_box(mask: Mask) -> Box:
    """Return the bounding box of a mask, all 0 of an empty one."""
    columns, rows = np.flatnonzero(mask.any(0)), np.flatnonzero(mask.any(1))
    if not len(rows):
        return 0, 0, 0, 0
    x, y = int(columns[0]), int(rows[0])
    return x, y, int(columns[-1]) + 1 - x, int(rows[-1]) + 1 - y
