"""Measures, compares and moves boxes of objects. Pure."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from engines.base import Floats
from engines.recognition.base import Box

MIN_CELLS = 4
"""Cells of the motion's grid that must lie in a box for its motion to be known."""


def measure_box(mask: NDArray[np.bool_], size: tuple[int, int]) -> Box | None:
    """Measure the box of an (h, w) mask over a picture of (width, height), picture px; None for an empty mask."""
    rows, columns = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
    if not len(rows):
        return None
    x, y = size[0] / mask.shape[1], size[1] / mask.shape[0]
    return (
        float(columns[0] * x - 0.5), float(rows[0] * y - 0.5),
        float((columns[-1] + 1) * x - 0.5), float((rows[-1] + 1) * y - 0.5),
    )  # fmt: skip


def measure_box_iou(one: Box, two: Box) -> float:
    """Measure the intersection over union of two boxes; 0 for empty ones."""
    width, height = min(one[2], two[2]) - max(one[0], two[0]), min(one[3], two[3]) - max(one[1], two[1])
    common = max(width, 0.0) * max(height, 0.0)
    union = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (one, two)) - common
    return common / union if union > 0 else 0.0


def move_box(box_px: Box, displacement: Floats, size: tuple[int, int]) -> Box | None:
    """Move a box of an older frame by the median motion of what is in it now; None where it is not in the picture.

    displacement: (h, w, 2) from the newer frame back to the older, in its own pixels. size: (width, height) of both.
    """
    height, width = displacement.shape[:2]
    scale = np.array([size[0] / width, size[1] / height], np.float32)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    then = (np.dstack([x, y]) + displacement + 0.5) * scale - 0.5
    x0, y0, x1, y1 = box_px
    inside = ((then >= (x0, y0)) & (then <= (x1, y1))).all(2)
    if np.count_nonzero(inside) < MIN_CELLS:
        return None
    dx, dy = (np.median(displacement[inside], axis=0) * scale).tolist()
    return x0 - dx, y0 - dy, x1 - dx, y1 - dy
