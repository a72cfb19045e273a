"""Which gaze belongs to which target: pairs by time, then one look a target. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

NEAR_S = 1 / 15
"""A look belongs to a sight of the target at most this far away in time (Pupil Core's choice)."""
MIN_CONFIDENCE = 0.8
"""Looks below are not calibrated with, though they may be used later (Pupil Core's choice)."""
SAMPLES_PER_TARGET = 40
ENOUGH_SAMPLES = 10
"""A target with fewer pairs does not count."""
MUCH_DISCARDED = 0.2
"""A larger share of looks without confidence is told (Pupil Core's choice)."""
STRAY = 3.5
"""A sample so many robust standard deviations from its target's others is an outlier."""


@dataclass(frozen=True, slots=True, eq=False)
class GazeSeries:
    """What the tracker said: time_s (N,), px (N, 2) of the distorted picture, confidence (N,) 0..1."""

    time_s: Array
    px: Array
    confidence: Array

    def __len__(self) -> int:
        return len(self.time_s)


@dataclass(frozen=True, slots=True, eq=False)
class TargetSeries:
    """Where one target was seen: time_s (M,) of the frames, on the looks' clock, and px (M, 2) in the picture."""

    time_s: Array
    px: Array


@dataclass(frozen=True, slots=True, eq=False)
class GazePairs:
    """Looks at one target, in order of time.

    look_px, target_px: (K, 2). time_s: (K,) of the looks. lost: how many looks in that time had no confidence;
    seen: how many looks there were in all.
    """

    name: str
    time_s: Array
    look_px: Array
    target_px: Array
    lost: int
    seen: int

    def __len__(self) -> int:
        return len(self.time_s)

    @property
    def usable(self) -> bool:
        """Whether there are enough of them."""
        return len(self) >= ENOUGH_SAMPLES


def match(name: str, sights: TargetSeries, looks: GazeSeries, *, every_look: bool = False) -> GazePairs:
    """Pair each sight of a target with the confident look nearest in time, as far as one is near enough.

    every_look: pair each look with the nearest sight instead; for validation, where precision is of successive samples.
    """
    if not len(looks) or not len(sights.time_s):
        empty = np.zeros((0, 2))
        return GazePairs(name, np.zeros(0), empty, empty, 0, 0)
    order = np.argsort(sights.time_s, kind="stable")
    seen_s, seen_px = sights.time_s[order], sights.px[order]
    during = (looks.time_s >= seen_s[0] - NEAR_S) & (looks.time_s <= seen_s[-1] + NEAR_S)
    sure = during & (looks.confidence >= MIN_CONFIDENCE) & np.isfinite(looks.px).all(1)
    by_time = np.flatnonzero(sure)[np.argsort(looks.time_s[sure], kind="stable")]
    lost, seen = int(during.sum() - sure.sum()), int(during.sum())
    time_s, px = looks.time_s[by_time], looks.px[by_time]
    if every_look:
        partner = _nearest(seen_s, time_s)
        near = np.abs(seen_s[partner] - time_s) <= NEAR_S if len(time_s) else np.zeros(0, bool)
        return GazePairs(name, time_s[near], px[near], seen_px[partner[near]], lost, seen)
    if not len(time_s):
        return GazePairs(name, np.zeros(0), np.zeros((0, 2)), np.zeros((0, 2)), lost, seen)
    partner = _nearest(time_s, seen_s)
    near = np.abs(time_s[partner] - seen_s) <= NEAR_S
    return GazePairs(name, time_s[partner[near]], px[partner[near]], seen_px[near], lost, seen)


def discarded_share(pairs: Sequence[GazePairs]) -> float:
    """The share of looks that had too little confidence; 0 where there were none at all."""
    seen = sum(p.seen for p in pairs)
    return sum(p.lost for p in pairs) / seen if seen else 0.0


def strays(points: Array) -> NDArray[np.bool_]:
    """(K,) which of (K, 2) points lie far from where most of them are."""
    if len(points) < 3:
        return np.zeros(len(points), bool)
    apart = np.linalg.norm(points - np.median(points, axis=0), axis=1)
    typical = float(np.median(apart))  # of a Gaussian's radius, 1.18 standard deviations of an axis
    return np.asarray(apart > STRAY * max(typical / 1.1774, 1e-9))


def _nearest(among_s: Array, times_s: Array) -> NDArray[np.intp]:
    """(N,) index of the nearest of the sorted `among_s` for each time."""
    right = np.clip(np.searchsorted(among_s, times_s), 1, max(1, len(among_s) - 1))
    left = right - 1
    right = np.minimum(right, len(among_s) - 1)
    return np.where(np.abs(among_s[left] - times_s) <= np.abs(among_s[right] - times_s), left, right)
