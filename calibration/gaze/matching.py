"""Pairs gaze samples with calibration targets by time. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calibration.lens import Floats

MAX_TIME_GAP_S = 1 / 15
"""Largest time between a gaze sample and its target's detection (Pupil Core's choice)."""
MIN_CONFIDENCE = 0.8
"""Gaze samples below are not used for calibration (Pupil Core's choice)."""
SAMPLES_PER_TARGET = 40
MIN_SAMPLES = 10
"""A target with fewer pairs is rejected."""
MAX_DISCARDED_SHARE = 0.2
"""A larger share of low-confidence samples is reported (Pupil Core's choice)."""
OUTLIER_SIGMAS = 3.5
"""Robust standard deviations from its target's others beyond which a sample is an outlier."""


@dataclass(frozen=True, slots=True, eq=False)
class GazeSeries:
    """Holds reported gaze: time_s (N,), px (N, 2) of the distorted picture, confidence (N,) 0..1."""

    time_s: Floats
    px: Floats
    confidence: Floats

    def __len__(self) -> int:
        return len(self.time_s)


@dataclass(frozen=True, slots=True, eq=False)
class TargetSeries:
    """Holds one target's detections: time_s (M,) of the frames, on the gaze clock, and px (M, 2)."""

    time_s: Floats
    px: Floats


@dataclass(frozen=True, slots=True, eq=False)
class GazePairs:
    """Holds the paired gaze samples of one target, in order of time.

    gaze_px, target_px: (K, 2). time_s: (K,) of the gaze. lost: number of low-confidence samples in that time, of total.
    """

    name: str
    time_s: Floats
    gaze_px: Floats
    target_px: Floats
    lost: int
    total: int

    def __len__(self) -> int:
        return len(self.time_s)

    @property
    def is_usable(self) -> bool:
        """Whether there are enough pairs."""
        return len(self) >= MIN_SAMPLES


NO_PAIRS = GazePairs("", np.zeros(0), np.zeros((0, 2)), np.zeros((0, 2)), 0, 0)


def match_samples(name: str, targets: TargetSeries, gaze: GazeSeries, *, every_sample: bool = False) -> GazePairs:
    """Pair each target detection with the nearest confident gaze sample within `MAX_TIME_GAP_S`.

    every_sample: pair each sample with the nearest detection; for validation, as precision is of successive samples.
    """
    order = np.argsort(targets.time_s, kind="stable")
    target_s, target_px = targets.time_s[order], targets.px[order]
    first_s, last_s = (target_s[0], target_s[-1]) if len(target_s) else (np.inf, -np.inf)
    during = (gaze.time_s >= first_s - MAX_TIME_GAP_S) & (gaze.time_s <= last_s + MAX_TIME_GAP_S)
    is_confident = during & (gaze.confidence >= MIN_CONFIDENCE) & np.isfinite(gaze.px).all(1)
    by_time = np.flatnonzero(is_confident)[np.argsort(gaze.time_s[is_confident], kind="stable")]
    time_s, px = gaze.time_s[by_time], gaze.px[by_time]
    samples, detections = np.arange(len(time_s)), np.arange(len(target_s))
    if not len(time_s):
        detections = samples
    elif every_sample:
        detections = _nearest_index(target_s, time_s)
    else:
        samples = _nearest_index(time_s, target_s)
    is_near = np.abs(target_s[detections] - time_s[samples]) <= MAX_TIME_GAP_S
    samples, detections = samples[is_near], detections[is_near]
    lost, total = int(during.sum() - is_confident.sum()), int(during.sum())
    return GazePairs(name, time_s[samples], px[samples], target_px[detections], lost, total)


def compute_discarded_share(pairs: Sequence[GazePairs]) -> float:
    """Compute the share of low-confidence samples; 0 where there are no samples."""
    total = sum(p.total for p in pairs)
    return sum(p.lost for p in pairs) / total if total else 0.0


def find_outliers(points: Floats) -> NDArray[np.bool_]:
    """Find the (K,) outliers of (K, 2) points."""
    if len(points) < 3:
        return np.zeros(len(points), bool)
    distances = np.linalg.norm(points - np.median(points, axis=0), axis=1)
    typical = float(np.median(distances))  # of a Gaussian's radius, 1.18 standard deviations of an axis
    return np.asarray(distances > OUTLIER_SIGMAS * max(typical / 1.1774, 1e-9))


def _nearest_index(among_s: Floats, times_s: Floats) -> NDArray[np.intp]:
    right = np.clip(np.searchsorted(among_s, times_s), 1, max(1, len(among_s) - 1))
    left = right - 1
    right = np.minimum(right, len(among_s) - 1)
    return np.where(np.abs(among_s[left] - times_s) <= np.abs(among_s[right] - times_s), left, right)
