"""Measures temporal stability: whether successive masks cover the same object, apart from its motion.

The earlier mask is brought to the later frame by the motion of the *true* masks, the affine map that best lays the one
truth's signed distance over the other's (Evangelidis & Psarakis, "Parametric Image Alignment Using Enhanced Correlation
Coefficient Maximization", TPAMI 2008), and compared with the later mask by IoU. Where even the true mask so moved does
not agree with the next one (limbs, what comes from behind something), the object has changed in a way that no such map
explains: those pixels are left out. So a mask that stays the same share of the object scores 1, right or wrong, the
truth itself scores exactly 1, and flicker between part and whole, or between something and nothing, falls.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.streaming_eval.clips import Clip
from benchmarks.streaming_eval.playback import MaskArrival, PlaybackLog, newest_frame_arrivals
from benchmarks.streaming_eval.scoring import iou
from engines import Mask

FAR_PX = 3.0
"""Limit of distances, in half-size pixels. The criterion ignores brightness: without the limit a grown object would be
the same as a brighter one.
"""
_STOP = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 60, 1e-5)

Floats = NDArray[np.float32]


def estimate_motion(before: Mask, after: Mask) -> Floats:
    """Estimate the (2, 3) float32 affine map from pixels of `after` to pixels of `before`, for `cv2.WARP_INVERSE_MAP`.

    The translation between the centroids where the truths do not say more; identity where one of them is empty.
    """
    still: Floats = np.eye(2, 3, dtype=np.float32)
    if not before.any() or not after.any() or np.array_equal(before, after):
        return still
    moved = still.copy()
    moved[:, 2] = (np.argwhere(before).mean(0) - np.argwhere(after).mean(0))[::-1]
    half = moved.copy()
    half[:, 2] /= 2
    try:
        _, way = cv2.findTransformECC(_distance(after), _distance(before), half, cv2.MOTION_AFFINE, _STOP)
    except cv2.error:  # it did not converge
        return moved
    found: Floats = np.array(way, np.float32)
    found[:, 2] *= 2  # every other pixel was taken, so that x = 2 x_half
    best = max((still, moved, found), key=lambda way: iou(warp_mask(before, way), after))
    return np.asarray(best, np.float32)


def warp_mask(mask: Mask, way: Floats) -> Mask:
    """Move a mask by the result of `estimate_motion`."""
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpAffine(mask.astype(np.float32), way, mask.shape[::-1], flags=flags) > 0.5)


def mask_stability(before: Mask, after: Mask, truth_before: Mask, truth_after: Mask) -> float | None:
    """Compute the IoU of the moved earlier mask with the later, 0..1; None when there was no mask at either time."""
    return _compared(before, after, estimate_motion(truth_before, truth_after), truth_before, truth_after)


def _compared(before: Mask, after: Mask, way: Floats, truth_before: Mask, truth_after: Mask) -> float | None:
    if not before.any() and not after.any():
        return None
    explained = warp_mask(truth_before, way) == truth_after
    earlier, later = warp_mask(before, way) & explained, after & explained
    return iou(earlier, later) if before.any() and after.any() else 0.0


@lru_cache(maxsize=4096)
def _motion_of(clip: Clip, before: int, after: int) -> Floats:
    """`estimate_motion` between two frames of a clip, which every program's masks are compared by."""
    return estimate_motion(clip.objects[0][before], clip.objects[0][after])


def score_stability(played: PlaybackLog, arrivals: Sequence[MaskArrival]) -> list[float]:
    """Measure stability of successive masks (each frame's first) of a clip with one object, unscored frames too."""
    out = []
    masks = sorted(newest_frame_arrivals(played, arrivals).items())
    for (a, earlier), (b, later) in pairwise(masks):
        one, two = played.sent[a], played.sent[b]
        if one.play != two.play or len(one.clip.objects) != 1:
            continue
        truths = one.clip.objects[0][one.number], two.clip.objects[0][two.number]
        empty = np.zeros_like(truths[0])
        before, after = (empty if m is None else _sized(m, empty) for m in (earlier.mask, later.mask))
        value = _compared(before, after, _motion_of(one.clip, one.number, two.number), *truths)
        if value is not None:
            out.append(value)
    return out


def _distance(mask: Mask) -> Floats:
    """Compute the limited signed distance to the mask's edge at half the size; positive within."""
    small = np.ascontiguousarray(mask[::2, ::2], np.uint8)
    inside, outside = (cv2.distanceTransform(m, cv2.DIST_L2, 5) for m in (small, 1 - small))
    return np.asarray(np.clip(inside - outside, -FAR_PX, FAR_PX), np.float32)


def _sized(mask: Mask, like: Mask) -> Mask:
    if mask.shape == like.shape:
        return mask
    return np.asarray(cv2.resize(mask.astype(np.uint8), like.shape[::-1], interpolation=cv2.INTER_NEAREST) > 0)
