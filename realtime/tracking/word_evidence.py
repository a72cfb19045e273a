"""Merges the regions that a word fits over several keyframes: detections of unsure things flicker. Pure."""

from __future__ import annotations

import numpy as np

from engines.recognition.base import WordRegion
from engines.recognition.boxes import measure_box_iou

SAME_IOU = 0.5
"""Regions of one word with this IoU are of one object."""
UNSEEN_SCORE, KEPT_SHARE = 0.1, 0.7
"""A region that is not found again keeps this share of its score, or of what a score must be to be found."""
LEAST_SCORE = 0.04
"""Below it such regions are forgotten, which is the second time."""


def merge_regions(earlier: tuple[WordRegion, ...], found: tuple[WordRegion, ...]) -> tuple[WordRegion, ...]:
    """Merge the regions of a keyframe with earlier ones at their places in it, the surest first.

    Of a region that is found again, box and score are averages. Others keep a low score for a while: that a sure one
    is not found again means that it has gone, but for an unsure one it means little.
    """
    left, merged = list(earlier), []
    for each in found:
        same = max(left, key=lambda other: measure_box_iou(each.box_px, other.box_px), default=None)
        if same is None or measure_box_iou(each.box_px, same.box_px) < SAME_IOU:
            merged.append(each)
            continue
        left.remove(same)
        box = np.average([same.box_px, each.box_px], axis=0, weights=[same.score, each.score])
        merged.append(WordRegion(tuple(box.tolist()), (same.score + each.score) / 2))
    kept = [WordRegion(each.box_px, KEPT_SHARE * min(each.score, UNSEEN_SCORE)) for each in left]
    merged += [each for each in kept if each.score >= LEAST_SCORE]
    return tuple(sorted(merged, key=lambda each: -each.score))
