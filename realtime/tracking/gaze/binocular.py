"""Detects trackers that send left and right eye alternately, and averages each pair."""

from __future__ import annotations

import math

SMOOTHING = 0.2
ON, OFF = 2.0, 1.5
"""Alternation begins and ends at these ratios of the distances to the last sample and to the one before it."""


class BinocularPairing:
    """Compares each sample with the last two; white noise gives a ratio of 1, a moving gaze less.

    last: up to two samples, px, oldest first; emptied after a gap, while the learnt distances are kept.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget all samples and the alternation."""
        self.last: list[tuple[float, float]] = []
        self._to_last = self._to_before = 0.0
        self.alternating = False

    def update(self, x: float, y: float, min_px: float, max_px: float) -> tuple[float, float]:
        """Return the sample, or its mean with the one before while the eyes alternate by more than `min_px`.

        Steps longer than `max_px` are limited to it: one saccade is no alternation.
        """
        if len(self.last) == 2:
            (bx, by), (lx, ly) = self.last
            self._to_last += SMOOTHING * (min(math.hypot(x - lx, y - ly), max_px) - self._to_last)
            self._to_before += SMOOTHING * (min(math.hypot(x - bx, y - by), max_px) - self._to_before)
            ratio = OFF if self.alternating else ON
            self.alternating = self._to_last > max(min_px, ratio * self._to_before)
        pair = self.last[-1:]
        self.last = [*pair, (x, y)]
        if self.alternating and pair:
            return (x + pair[0][0]) / 2.0, (y + pair[0][1]) / 2.0
        return x, y
