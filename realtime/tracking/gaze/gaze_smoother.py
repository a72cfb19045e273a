"""Smooths noisy gaze of a webcam without blurring its saccades. Pure."""

from __future__ import annotations

import math

from realtime.tracking.gaze.one_euro import OneEuroFilter

MIN_CUTOFF_HZ = 1.0
"""One Euro: cut-off at rest; a webcam's gaze trembles by a degree or two from picture to picture."""
BETA_HZ_S_PER_DEG = 0.02
DERIVATIVE_CUTOFF_HZ = 1.0
"""One Euro: as in Casiez, Roussel and Vogel, CHI 2012."""
SACCADE_DEG = 3.0
"""Two successive samples so far from the smoothed point, in the same direction, are at a new place."""
MAX_GAP_S = 0.3
"""After a longer gap, as by a blink, the eyes may be anywhere."""


class GazeSmoother:
    """A One Euro filter, in degrees, that begins anew after a saccade or a gap."""

    def __init__(self) -> None:
        self._filter = OneEuroFilter(MIN_CUTOFF_HZ, BETA_HZ_S_PER_DEG, DERIVATIVE_CUTOFF_HZ)
        self._last_s = -math.inf
        self._away: tuple[float, float] | None = None  # the last sample, where it was far from the smoothed point

    def update(self, x_deg: float, y_deg: float, time_s: float) -> tuple[float, float]:
        """Return the smoothed point after a sample; times that run backwards change nothing."""
        dt_s = time_s - self._last_s
        if not 0 <= dt_s <= MAX_GAP_S:
            self._filter.reset()
            self._away = None
        self._last_s = time_s
        if (place := self._filter.position) is not None:
            is_away = math.hypot(x_deg - place[0], y_deg - place[1]) > SACCADE_DEG
            last, self._away = self._away, (x_deg, y_deg) if is_away else None
            if last is not None and is_away and self._is_same_way(place, last, (x_deg, y_deg)):
                self._away = None
                landed = (x_deg + last[0]) / 2, (y_deg + last[1]) / 2  # each has the noise of a single sample
                self._filter.reset(landed)
                return landed
        return self._filter.update(x_deg, y_deg, min(dt_s, MAX_GAP_S))

    @staticmethod
    def _is_same_way(place: tuple[float, float], one: tuple[float, float], other: tuple[float, float]) -> bool:
        return (one[0] - place[0]) * (other[0] - place[0]) + (one[1] - place[1]) * (other[1] - place[1]) > 0
