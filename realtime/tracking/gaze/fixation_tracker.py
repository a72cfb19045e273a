"""Tracks the current fixation: its samples, its smoothed point, and whether it is a pursuit."""

from __future__ import annotations

import math
from collections import Counter

from realtime.tracking.gaze.estimate import EyeMovement
from realtime.tracking.gaze.fixation import (
    FixationPoint,
    FixationSegment,
    estimate_centre,
    measure_drift,
    measure_spread,
)
from realtime.tracking.gaze.one_euro import OneEuroFilter
from realtime.tracking.gaze.settings import GazeSettings

PURSUIT_NOISE_FACTOR = 2.5


class FixationTracker:
    """Holds the current fixation or pursuit, and the one before, which a blink may bring back.

    The point is smoothed in degrees, so that the settings suit every camera.
    """

    def __init__(self, settings: GazeSettings, counts: Counter[str]) -> None:
        self._settings, self._counts = settings, counts
        self._smooth = OneEuroFilter(settings.min_cutoff_hz, settings.beta_hz_s_per_deg, settings.derivative_cutoff_hz)
        self._deg_px = 1.0
        self.reset()

    def reset(self) -> None:
        """Forget all fixations."""
        self._smooth.reset()
        self.segment: FixationSegment | None = None
        self.previous: FixationSegment | None = None

    @property
    def segments(self) -> list[FixationSegment]:
        """The current fixation and the one before, as far as there are any."""
        return [segment for segment in (self.segment, self.previous) if segment is not None]

    @property
    def smooth_px(self) -> tuple[float, float]:
        """The smoothed point."""
        x, y = self._smooth.position or (0.0, 0.0)
        return x * self._deg_px, y * self._deg_px

    def shift(self, x: float, y: float) -> None:
        """Move the smoothed point, px, and keep its speed."""
        self._smooth.position = (x / self._deg_px, y / self._deg_px)

    def rescale(self, deg_px: float) -> None:
        """Change the pixels per degree."""
        before, self._deg_px = self._deg_px, deg_px
        if self._smooth.position is not None and deg_px != before:
            x, y = self._smooth.position
            self._smooth.position = (x * before / deg_px, y * before / deg_px)

    def begin(self, points: list[FixationPoint]) -> None:
        """Begin a new fixation without samples of the last one."""
        self.previous, self.segment = self.segment, FixationSegment(points)
        self._smooth.reset()
        for before, point in zip([points[0], *points], points, strict=False):
            self._smooth_point(point, before)

    def add(self, segment: FixationSegment, point: FixationPoint) -> None:
        """Add a sample to the current fixation; a late one does not change the smoothed point."""
        before = segment.newest
        segment.add(point, self._settings.window_s, self._settings.window_samples)
        self._smooth_point(point, before)

    def _smooth_point(self, point: FixationPoint, before: FixationPoint) -> None:
        self._smooth.update(point.x / self._deg_px, point.y / self._deg_px, (point.t_ns - before.t_ns) * 1e-9)

    def withdraw(self, after_ns: int, until_ns: float = math.inf) -> None:
        """Withdraw the samples after a time, until another, and fixations made of them."""
        for segment in self.segments:
            kept = [p for p in segment.points if not after_ns < p.t_ns <= until_ns]
            self._counts["withdrawn"] += len(segment.points) - len(kept)
            segment.points = kept
        left = [segment for segment in self.segments if segment.points]
        self.segment, self.previous = (left[0] if left else None), None
        if self.segment is not None:
            x, y = self.segment.reference()
            self._smooth.reset((x / self._deg_px, y / self._deg_px))

    def classify(self, segment: FixationSegment, noise_deg: float) -> tuple[EyeMovement, tuple[float, float], float]:
        """Classify a fixation (geometric median) or pursuit (smoothed point); returns kind, point and spread, px."""
        table = segment.table()
        if (drift := measure_drift(table)) is not None:
            moved_px, over_s = drift
            by_speed = self._settings.pursuit_deg_per_s * over_s
            if moved_px > max(by_speed, PURSUIT_NOISE_FACTOR * noise_deg) * self._deg_px:
                return "pursuit", self.smooth_px, measure_spread(table, self.smooth_px)
        point_px = estimate_centre(table)
        return "fixation", point_px, measure_spread(table, point_px)
