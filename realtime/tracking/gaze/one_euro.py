"""Smooths a point with the One Euro filter: little jitter at rest, little lag in motion."""

from __future__ import annotations

import math

LEAST_DT_S = 1e-9
"""Clocks count nanoseconds; a speed over less time overflows."""


class OneEuroFilter:
    """A low-pass filter of a point whose cut-off rises with speed (Casiez, Roussel and Vogel, CHI 2012).

    Both axes share one cut-off, from the speed of the point, so that the filter does not depend on how the axes lie.
    Positions in any unit, called u here; time in seconds.
    """

    def __init__(self, min_cutoff_hz: float, beta: float, derivative_cutoff_hz: float) -> None:
        """`beta`: Hz of cut-off gained for every u/s of speed."""
        self._min_cutoff_hz = min_cutoff_hz
        self._beta = beta
        self._derivative_cutoff_hz = derivative_cutoff_hz
        self.reset()

    def reset(self, position: tuple[float, float] | None = None) -> None:
        """Restart at `position`, at rest; setting `position` alone keeps the speed, as when the picture moved."""
        self.position, self._velocity = position, (0.0, 0.0)

    def update(self, x: float, y: float, dt_s: float) -> tuple[float, float]:
        """Return the smoothed point after a sample `dt_s` later; `dt_s` below a nanosecond changes nothing."""
        if self.position is None:
            self.reset((x, y))
            return x, y
        if dt_s < LEAST_DT_S:
            return self.position
        (px, py), (vx, vy) = self.position, self._velocity
        slow = _alpha(self._derivative_cutoff_hz, dt_s)
        vx += slow * ((x - px) / dt_s - vx)
        vy += slow * ((y - py) / dt_s - vy)
        near = _alpha(self._min_cutoff_hz + self._beta * math.hypot(vx, vy), dt_s)
        self._velocity = vx, vy
        self.position = px + near * (x - px), py + near * (y - py)
        return self.position


def _alpha(cutoff_hz: float, dt_s: float) -> float:
    """Compute a first-order low-pass filter's weight of the new value."""
    return 1.0 / (1.0 + 1.0 / (2.0 * math.pi * cutoff_hz * dt_s))
