"""Measures stability and bounding box of masks from their low-resolution logits. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from engines.automatic_masks.packed_mask import bounding_box
from engines.automatic_masks.settings import Crop
from engines.base import LOGITS_SIDE, Floats
from engines.letterbox import Letterbox

QUALITY_SIDE = 1024
"""Masks of larger pictures are measured at this size, and only those that stay are upsampled: logits hold no more."""
OUTSIDE_LOGIT = -32.0


@dataclass(frozen=True, slots=True)
class MaskQuality:
    """Holds the quality of a mask.

    stability: 0..1, IoU of the mask cut at logits of +offset and -offset. box: x0 y0 x1 y1 px, None of an empty mask.
    """

    stability: float
    box: tuple[float, float, float, float] | None


@dataclass(frozen=True, slots=True, eq=False)
class GridCells:
    """Holds the logits round a mask in half the bytes.

    values: (h, w) float16, the first at `corner` (column, row) of the 256 x 256 logits.
    """

    corner: tuple[int, int]
    values: np.ndarray[tuple[int, ...], np.dtype[np.float16]]

    @classmethod
    def of(cls, logits: Floats, margin: int = 1) -> GridCells:
        """Cut (256, 256) logits to the cells above 0 and so many cells around their box; 1 keeps the mask."""
        x, y, width, height = bounding_box(logits > 0)
        left, top = max(0, x - margin), max(0, y - margin)
        part = logits[top : y + height + margin, left : x + width + margin]
        return cls((left, top), part.astype(np.float16))

    def logits(self) -> Floats:
        """Restore (256, 256) float32 logits with the same mask."""
        whole = np.full((LOGITS_SIDE, LOGITS_SIDE), OUTSIDE_LOGIT, np.float32)
        (left, top), (height, width) = self.corner, self.values.shape
        whole[top : top + height, left : left + width] = self.values
        return whole


def measure_quality(logits: Floats, letterbox: Letterbox, offset: float) -> MaskQuality:
    """Measure a mask's quality from its (256, 256) logits, at the image's size or at `QUALITY_SIDE` if that is less."""
    size = letterbox.width, letterbox.height
    shrink = min(1.0, QUALITY_SIDE / max(size))
    small = max(1, round(size[0] * shrink)), max(1, round(size[1] * shrink))
    frame = Letterbox(small[0], small[1], picture_side=letterbox.picture_side)
    x0, y0, x1, y1 = logits_window(logits, frame, -offset)
    fine = frame.logits_to_picture(logits, (x0, y0, x1, y1))
    inner, outer = (int(np.count_nonzero(fine > cut)) for cut in (offset, -offset))
    x, y, width, height = bounding_box(fine > 0)
    if not width:
        return MaskQuality(0.0, None)
    across, down = size[0] / small[0], size[1] / small[1]
    left, top = (x0 + x) * across, (y0 + y) * down
    return MaskQuality(inner / outer, (left, top, left + width * across, top + height * down))


def logits_window(logits: Floats, letterbox: Letterbox, floor: float) -> Crop:
    """Return the part of the picture that contains all interpolated logits above `floor`; at least one pixel."""
    x, y, width, height = bounding_box(logits > floor)
    step = logits.shape[1] / letterbox.side
    x0, x1 = _pixels(x, width, letterbox.scale[0] * step, letterbox.width)
    y0, y1 = _pixels(y, height, letterbox.scale[1] * step, letterbox.height)
    return x0, y0, x1, y1


def _pixels(first: int, count: int, scale: float, limit: int) -> tuple[int, int]:
    """Return the range of pixels along one side that are interpolated from any of `count` cells."""
    low = math.floor((first - 0.5) / scale - 0.5)
    high = math.ceil((first + count + 0.5) / scale - 0.5) + 1
    low = min(max(low, 0), limit - 1)
    return low, min(max(high, low + 1), limit)
