"""Simulates gaze on clips: it follows an object with a bias, and makes saccades between two objects."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.streaming_eval.clips import Clip
from engines import Mask

GAZE_HZ = 200
BLINK_EVERY, BLINK = 400, 30
"""Samples: 150 ms of closed eyes every two seconds."""
DWELL_S = (1.0, 1.5)
"""Duration of a stay on one of two objects."""
PX_PER_DEGREE = 15.6
"""For the length of a saccade alone; Neon's scene camera."""
SHALLOW, JUMP_PX = 0.4, 30.0

Points = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class SimulatedGaze:
    """The gaze of one clip.

    points_px: (N, 2), one every 1 / GAZE_HZ s. object_index: (N,) the fixated object; in a saccade still the old one.
    saccade_ends: (seconds, object) of every saccade's end, the first at 0.
    """

    points_px: Points
    object_index: NDArray[np.int64]
    saccade_ends: tuple[tuple[float, int], ...]

    def object_at(self, time_s: float) -> int:
        """Return the index of the fixated object at a time in the clip, in seconds."""
        return int(self.object_index[min(max(0, int(time_s * GAZE_HZ)), len(self.object_index) - 1)])


def is_blink(sample: int) -> bool:
    """Check whether the eyes are closed at a sample, counted from the start of the device."""
    return sample % BLINK_EVERY >= BLINK_EVERY - BLINK


def follow_object(masks: Sequence[Mask]) -> Points:
    """(N, 2) px: a point that moves with the mask and jumps to its deepest point when it has become shallow."""
    out: list[Points] = []
    point: Points | None = None
    centre = np.zeros(2)
    size = np.array(masks[0].shape[::-1])
    for mask in masks:
        depth = cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, 5)
        if depth.max() == 0:
            out.append(size / 2 if point is None else point)
            continue
        now = np.argwhere(mask).mean(0)[::-1]
        if point is not None:
            point = point + now - centre
            x, y = np.clip(np.round(point).astype(int), 0, size - 1)
        if point is None or depth[y, x] < SHALLOW * depth.max():
            point = np.array(np.unravel_index(int(depth.argmax()), depth.shape)[::-1], float)
        centre = now
        out.append(point)
    return np.array(out, float)


def simulate_gaze(clip: Clip, fps: float, noise_px: float, seed: int) -> SimulatedGaze:
    """Gaze for a clip: all of it depends on the seed and the clip's name alone.

    Added to the path are one bias (sd `noise_px` on each axis) and a wandering of about a third of it.
    """
    rng = np.random.default_rng([seed, zlib.crc32(clip.name.encode())])
    count = int(len(clip) / fps * GAZE_HZ)
    paths = [_sampled(follow_object(masks), count, fps) for masks in clip.objects]
    push = rng.normal(0, noise_px / 3 * 0.43, (count, 2))
    bias = rng.normal(0, noise_px, 2)
    wander = np.zeros((count, 2))
    for k in range(1, count):
        wander[k] = 0.9 * wander[k - 1] + push[k]
    points, numbers, landings = paths[0], np.zeros(count, np.int64), [(0.0, 0)]
    if len(paths) > 1:
        points, numbers, landings = _alternating(paths, rng)
    points = np.clip(points + bias + wander, 0, np.array(clip.size) - 1)
    return SimulatedGaze(points, numbers, tuple(landings))


def _sampled(path: Points, count: int, fps: float) -> Points:
    """Resample a path of one point a frame to GAZE_HZ; saccades are not smeared over a frame."""
    at = np.minimum(np.arange(count) / GAZE_HZ * fps, len(path) - 1)
    before = at.astype(int)
    after = np.minimum(before + 1, len(path) - 1)
    part = (at - before)[:, None]
    jumps = np.linalg.norm(path[after] - path[before], axis=1) > JUMP_PX
    smooth = path[before] * (1 - part) + path[after] * part
    return np.asarray(np.where(jumps[:, None], path[before], smooth))


def _alternating(
    paths: Sequence[Points], rng: np.random.Generator
) -> tuple[Points, NDArray[np.int64], list[tuple[float, int]]]:
    """Eyes that stay on one path for a while and jump to the next one.

    A saccade takes 21 ms and 2.2 ms a degree (Carpenter 1988) on a path of least jerk (Flash & Hogan 1985).
    """
    count = len(paths[0])
    here = int(rng.integers(len(paths)))
    points, numbers = paths[here].copy(), np.full(count, here)
    landings = [(0.0, here)]
    start = int(rng.uniform(*DWELL_S) * GAZE_HZ)
    while start < count:
        there = (here + 1) % len(paths)
        degrees = float(np.linalg.norm(paths[there][start] - paths[here][start])) / PX_PER_DEGREE
        flight = round((0.021 + 0.0022 * degrees) * GAZE_HZ)
        land = start + flight
        s = (np.arange(flight) / flight)[: max(0, count - start)]
        eased = (10 * s**3 - 15 * s**4 + 6 * s**5)[:, None]
        span = slice(start, start + len(s))
        points[span] = paths[here][span] * (1 - eased) + paths[there][span] * eased
        if land < count:
            points[land:], numbers[land:] = paths[there][land:], there
            landings.append((land / GAZE_HZ, there))
        here, start = there, land + int(rng.uniform(*DWELL_S) * GAZE_HZ)
    return points, numbers, landings
