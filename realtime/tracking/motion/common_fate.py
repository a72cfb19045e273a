"""Measures common fate: motion changes at an object's edge, not at a part's.

Wertheimer's law of 1923, and what motion segmentation rests on (Brox & Malik, "Object segmentation by long term
analysis of point trajectories", ECCV 2010), here only to select among existing masks.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from engines import Floats

REACH = 3
"""Pixels on either side of an edge over which motion is averaged; the flow is smooth over about this distance."""
MIN_EDGE_PIXELS = 8
SURE_PX = 0.5
"""A change by this is certain; dense inverse search errs by about half a pixel of its grid."""


def measure_common_fate(masks: NDArray[np.bool_], displacement: Floats) -> Floats:
    """Measure the change of motion along the edges of (K, h, w) masks: (K,) 0..1, 0 in a still picture.

    displacement: (h, w, 2) on the masks' grid, in its pixels. The median along the edge of the difference between the
    mean motions inside and outside of it; the picture's border is no edge.
    """
    return np.array([_measure_edge(mask, displacement) for mask in masks], np.float32)


def _measure_edge(mask: NDArray[np.bool_], displacement: Floats) -> float:
    inside = mask.astype(np.uint8)
    x, y, w, h = cv2.boundingRect(inside)
    rows = slice(max(0, y - 2 * REACH), y + h + 2 * REACH)
    columns = slice(max(0, x - 2 * REACH), x + w + 2 * REACH)
    inside, motion = inside[rows, columns], displacement[rows, columns]
    edge = cv2.morphologyEx(inside, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)) > 0
    border = np.ones(mask.shape, np.bool_)
    border[2:-2, 2:-2] = False
    edge &= ~border[rows, columns]
    if np.count_nonzero(edge) < MIN_EDGE_PIXELS:
        return 0.0
    box = (2 * REACH + 1, 2 * REACH + 1)
    share = cv2.blur(inside.astype(np.float32), box)
    total, within = cv2.blur(motion, box), cv2.blur(motion * inside[..., None], box)
    share, total, within = share[edge][:, None], total[edge], within[edge]
    apart = within / np.maximum(share, 1e-3) - (total - within) / np.maximum(1 - share, 1e-3)
    return min(1.0, float(np.median(np.hypot(apart[:, 0], apart[:, 1]))) / SURE_PX)
