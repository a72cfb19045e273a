"""Replays an object's points frame by frame from its keyframe to the newest frame.

Flow that is chained backwards asks what each pixel of the newest frame was; beside an object's edge it soon follows the
background, and over many frames it loses the object. A point that begins inside the object and moves forwards with
every frame stays on it, as in "Dense point trajectories" (Sundaram, Brox & Keutzer, ECCV 2010).
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from engines import Floats
from realtime.tracking.motion.flow_chain import sample_bilinear
from realtime.tracking.motion.layered_motion import FramePair, signed_depth, smooth_flow

MAX_POINTS = 1000
MIN_POINTS = 3
MIN_DEPTH = 2.0
"""Working pixels from the edge at which points begin, where a mask is wide enough: flow is smooth across edges."""
COLOUR_FALLOFF = 10.0
"""Of CIELAB distance: a point whose colour has changed by so much, as of one that is covered, counts 1 / e."""


def replay_points(points: Floats, flows: Sequence[Floats]) -> Floats:
    """Move (N, 2) points forwards through the frames, oldest first.

    flows: of each frame to the one before, (h, w, 2); inverted at the points only, by fixed-point iteration.
    """
    for flow in flows:
        before = points
        for _ in range(3):
            points = before - sample_bilinear(flow, points[None])[0]
    return points


def measure_object_flow(odds: Floats, pair: FramePair, flows: Sequence[Floats]) -> Floats | None:
    """Measure the (h, w, 2) flow from the newest frame back to the keyframe by the object's points alone.

    It is extrapolated over the object's edge. odds: (h, w) log-odds of the object in the keyframe, `pair.then`. flows:
    of every frame since to the one before. None where too few of the points are still to be seen.
    """
    begun = _choose_points(odds)
    if len(begun) < MIN_POINTS:
        return None
    ended = replay_points(begun, flows)
    colours = (
        sample_bilinear(cv2.blur(lab, (3, 3)), at[None])[0].astype(np.float32)
        for lab, at in zip(pair.labs, (begun, ended), strict=True)
    )
    apart = np.linalg.norm(np.subtract(*colours), axis=1)
    height, width = odds.shape
    inside = ((ended > 0) & (ended < (width - 1, height - 1))).all(1)
    weight = np.exp(-apart / COLOUR_FALLOFF) * inside
    if weight.sum() < MIN_POINTS:
        return None
    return _spread(ended, begun - ended, weight, (height, width))


def _choose_points(odds: Floats) -> Floats:
    """Choose (N, 2) points on a grid inside a mask."""
    depth = signed_depth(odds > 0)
    inside = depth > min(MIN_DEPTH, float(depth.max()) / 2)
    every = max(1, round((np.count_nonzero(inside) / MAX_POINTS) ** 0.5))
    rows, columns = np.nonzero(inside[::every, ::every])
    return np.stack([columns, rows], 1).astype(np.float32) * every


def _spread(at: Floats, flow: Floats, weight: Floats, shape: tuple[int, int]) -> Floats:
    """Spread the (N, 2) flow at some points over a grid of `shape`, by nearness."""
    rows, columns = half = (shape[0] + 1) // 2, (shape[1] + 1) // 2
    x, y = np.rint(at / 2).astype(np.intp).clip(0, (columns - 1, rows - 1)).T
    cells = y * columns + x
    total, *sums = (
        np.bincount(cells, weight * values, rows * columns).astype(np.float32).reshape(half)
        for values in (np.ones_like(weight), *flow.T)
    )
    mean = np.asarray(np.dstack(sums) / np.maximum(total, 1e-9)[..., None], np.float32)
    dense = smooth_flow(mean, total)
    return np.asarray(cv2.resize(dense, shape[::-1], interpolation=cv2.INTER_LINEAR), np.float32)
