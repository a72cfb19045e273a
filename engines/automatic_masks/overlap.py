"""Removes duplicates, masks that a crop has cut, and small regions. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from engines.automatic_masks.settings import Crop
from engines.base import Mask

Boxes = NDArray[np.float64]
"""(N, 4) x0 y0 x1 y1, pixels, x1 and y1 excluded."""


def suppress_duplicates(boxes: Boxes, scores: Sequence[float], most_iou: float) -> list[int]:
    """Return the indices of the boxes that stay, best score first, by greedy non-maximum suppression.

    Removes a box whose IoU with one that stays is greater than `most_iou`; of equal scores the earlier box stays.
    """
    left, top, right, bottom = boxes.reshape(-1, 4).T
    areas = (right - left) * (bottom - top)
    order = np.argsort(-np.asarray(scores, float), kind="stable")
    kept: list[int] = []
    while len(order):
        best, order = int(order[0]), order[1:]
        kept.append(best)
        wide = np.minimum(right[best], right[order]) - np.maximum(left[best], left[order])
        tall = np.minimum(bottom[best], bottom[order]) - np.maximum(top[best], top[order])
        common = np.maximum(wide, 0) * np.maximum(tall, 0)
        order = order[common <= most_iou * np.maximum(areas[best] + areas[order] - common, 1e-9)]
    return kept


def is_cut_by_crop(box: Sequence[float], crop: Crop, size: tuple[int, int], edge_px: float) -> bool:
    """Return whether the box x0 y0 x1 y1 is within `edge_px` of a side of its crop inside the picture.

    size: (width, height) of the picture. As in SAM's own generator, a mask as near to the picture's side ends there.
    """
    picture = (0, 0, *size)
    return any(abs(box[side] - crop[side]) <= edge_px < abs(box[side] - picture[side]) for side in range(4))


def remove_small_regions(part: Mask, smallest_px: int) -> Mask:
    """Fill holes, then remove islands, of fewer than `smallest_px` pixels; the largest island always stays.

    part: all of the mask. A region open to the part's edge is no hole.
    """
    import cv2  # a program that only asks for masks needs no OpenCV

    padded = np.pad(part, 1)
    count, labels, stats, _ = cv2.connectedComponentsWithStats((~padded).astype(np.uint8), connectivity=8)
    small = stats[:, cv2.CC_STAT_AREA] < smallest_px
    small[0] = small[labels[0, 0]] = False
    filled = padded | small[labels]
    count, labels, stats, _ = cv2.connectedComponentsWithStats(filled.astype(np.uint8), connectivity=8)
    stays = stats[:, cv2.CC_STAT_AREA] >= smallest_px
    stays[0] = False
    if count > 1 and not stays.any():
        stays[1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))] = True
    return np.asarray(stays[labels][1:-1, 1:-1])
