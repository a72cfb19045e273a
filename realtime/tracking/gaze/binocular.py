"""Two eyes sent one after the other, each with its own bias: noticed, and averaged pair by pair."""

from __future__ import annotations

import math

SMOOTHING = 0.2
ON, OFF = 2.0, 1.5
"""Alternation is believed while every sample is this much farther from the last than from the one before it."""


class BinocularPairing:
    """Compares each sample with the last and the one before; white noise gives a ratio of 1, a moving gaze less."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget what was."""
        self.last: list[tuple[float, float]] = []
        self._to_last = self._to_before = 0.0
        self.alternating = False

    def restart(self) -> None:
        """Forget the last samples after a gap, but not what was learnt."""
        self.last = []

    def update(self, x: float, y: float, least_px: float, most_px: float) -> tuple[float, float]:
        """The sample, or its mean with the one before while the eyes alternate by more than `least_px`.

        Longer steps than `most_px` count as that: one saccade is no alternation.
        """
        if len(self.last) == 2:
            (bx, by), (lx, ly) = self.last
            self._to_last += SMOOTHING * (min(math.hypot(x - lx, y - ly), most_px) - self._to_last)
            self._to_before += SMOOTHING * (min(math.hypot(x - bx, y - by), most_px) - self._to_before)
            ratio = OFF if self.alternating else ON
            self.alternating = self._to_last > max(least_px, ratio * self._to_before)
        pair = self.last[-1:]
        self.last = [*pair, (x, y)]
        if self.alternating and pair:
            return (x + pair[0][0]) / 2.0, (y + pair[0][1]) / 2.0
        return x, y
