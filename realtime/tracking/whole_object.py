"""Decides whether a part and a whole are of one object, or the whole takes in a neighbour. Pure.

A part and the rest of its object seldom divide it into two masks of similar size that each stand alone; an object and
the one beside it do. So what a larger mask adds is prompted by itself: if that gives the addition as a stable mask of
its own, it is a neighbour.
"""

from __future__ import annotations

import cv2
import numpy as np

from engines import MaskCandidates
from realtime.tracking.hypotheses import SAME_IOU, compute_overlap, keyframe_masks
from realtime.types import Mask

NESTED_SHARE = 0.85
"""A mask with this share inside another is a part of it."""
NEIGHBOUR_IOU = 0.7
"""An addition that overlaps a mask of its own by this IoU is a neighbour; where they touch, neither edge is certain."""
NEIGHBOUR_RATIO = 5.0
"""Beyond this ratio of areas, one is a part of the other: a cap and its bottle."""
MIN_STABILITY = 0.8
MIN_ADDED_SHARE = 0.1
"""Smaller additions are edges."""


def is_nested(mask: Mask, core: Mask) -> bool:
    """Return whether one of two masks of a grid lies inside the other."""
    smaller = min(int(np.count_nonzero(mask)), int(np.count_nonzero(core)))
    return int(np.count_nonzero(mask & core)) >= NESTED_SHARE * max(1, smaller)


def find_addition(mask: Mask, core: Mask) -> tuple[int, int] | None:
    """Find the (column, row) in what a mask adds to its core that is farthest from its edge.

    None for a part, and where the addition is too small or too large to be a neighbour.
    """
    added = _subtract(mask, core)
    area, core_area = np.count_nonzero(added), np.count_nonzero(core)
    if area < MIN_ADDED_SHARE * core_area or not core_area / NEIGHBOUR_RATIO <= area <= core_area * NEIGHBOUR_RATIO:
        return None
    rim = cv2.copyMakeBorder(added.astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    depth = cv2.distanceTransform(rim, cv2.DIST_L2, 3)[1:-1, 1:-1]
    row, column = np.unravel_index(int(np.argmax(depth)), depth.shape)
    return int(column), int(row)


def has_neighbour(candidates: MaskCandidates, mask: Mask, core: Mask) -> bool:
    """Return whether what a mask adds to its core is an object of its own.

    candidates: of a prompt at `find_addition`. Masks are on the keyframe's grid.
    """
    added = _subtract(mask, core)
    masks = keyframe_masks(candidates)
    overlap = compute_overlap(masks, np.stack([added, mask]))
    alone = (overlap[:, 0] >= NEIGHBOUR_IOU) & (overlap[:, 1] < SAME_IOU) & (candidates.stability >= MIN_STABILITY)
    return bool(alone.any())


def _subtract(mask: Mask, core: Mask) -> Mask:
    """Subtract a core from a mask, without slivers along their common edge."""
    added = cv2.morphologyEx((mask & ~core).astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    return np.asarray(added > 0)
