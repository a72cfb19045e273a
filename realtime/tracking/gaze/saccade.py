"""Detects saccades: the samples that leave a fixation, until two close together end the flight."""

from __future__ import annotations

import math

import numpy as np

from realtime.tracking.gaze.fixation import FixationPoint, FixationSegment, estimate_centre
from realtime.tracking.gaze.noise import NoiseEstimator
from realtime.tracking.gaze.settings import GazeSettings

LANDING_BASELINE_NS = 4_000_000
"""Samples closer in time than this do not measure speed."""
MAX_PENDING = 64
RETURN_NOISE_FACTOR = 3.0


class SaccadeDetector:
    """Holds the samples in flight, and limits distances by speed, smallest saccade and measured noise.

    deg_px: pixels per degree. pending: samples since the fixation was left; one alone may be a spike.
    has_left: the eye tracker reported that the eyes left the fixation, so that no sample continues it.
    """

    def __init__(self, settings: GazeSettings) -> None:
        self._settings = settings
        self.deg_px = 1.0
        self.reset()

    def reset(self) -> None:
        """Forget the samples and the noise."""
        self.noise = NoiseEstimator()
        self.pending: list[FixationPoint] = []
        self.has_left = False

    def is_near(self, segment: FixationSegment, point: FixationPoint) -> bool:
        """Return whether a point can be reached without a saccade."""
        limits, dt_s = self._settings, (point.t_ns - segment.newest.t_ns) * 1e-9
        by_noise = limits.noise_factor * self.noise.deviation_deg
        by_speed = limits.saccade_deg_per_s * min(dt_s, limits.velocity_window_s)
        return _distance(segment.reference(), point) <= max(limits.min_saccade_deg, by_noise, by_speed) * self.deg_px

    def learn_noise(self, segment: FixationSegment, point: FixationPoint) -> None:
        """Learn the noise from a point's deviation from its fixation."""
        residual_px = _distance(segment.reference(), point)
        step_px = _distance((segment.newest.x, segment.newest.y), point)
        self.noise.learn(residual_px / self.deg_px, step_px / self.deg_px)

    def add(self, point: FixationPoint) -> None:
        """Add a sample in flight."""
        self.pending = [*self.pending[1 - MAX_PENDING :], point]

    def find_landing(self) -> list[FixationPoint]:
        """Find the newest samples of a saccade that are close together, if any."""
        newest, limits = self.pending[-1], self._settings
        for at in range(len(self.pending) - 2, -1, -1):
            dt_ns = newest.t_ns - self.pending[at].t_ns
            if dt_ns < LANDING_BASELINE_NS:
                continue
            by_noise = limits.landing_step_factor * self.noise.step_deg
            by_speed = limits.saccade_deg_per_s * min(dt_ns * 1e-9, limits.velocity_window_s)
            near_px = max(limits.landing_deg, by_noise, by_speed) * self.deg_px
            here = self.pending[at]
            return self.pending[at:] if _distance((here.x, here.y), newest) <= near_px else []
        return []

    def has_returned(self, segment: FixationSegment, landed: list[FixationPoint]) -> bool:
        """Return whether the eyes returned at once to the fixation that they left."""
        if (landed[0].t_ns - segment.newest.t_ns) * 1e-9 > self._settings.merge_s:
            return False
        centre = estimate_centre(segment.table())
        near_deg = max(self._settings.landing_deg, RETURN_NOISE_FACTOR * self.noise.deviation_deg)
        return all(_distance(centre, point) <= near_deg * self.deg_px for point in landed)

    def force_landing(self) -> list[FixationPoint]:
        """Return the last samples of a flight over the longest duration, and raise the noise to it; else nothing."""
        if (self.pending[-1].t_ns - self.pending[0].t_ns) * 1e-9 <= self._settings.max_saccade_s:
            return []
        self.noise.raise_to(np.array([(p.x, p.y) for p in self.pending]) / self.deg_px)
        return self.pending[-2:]


def _distance(here: tuple[float, float], there: FixationPoint) -> float:
    return math.hypot(here[0] - there.x, here[1] - there.y)
