"""Estimates the noise of the gaze during fixations, so that thresholds can be multiples of it.

After Engbert and Kliegl (Vision Research 2003), who take a robust estimate of the velocity's deviation; here running,
and of positions. All in degrees.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FIRST_DEG, MIN_DEG, MAX_DEG = 0.2, 0.03, 1.5
"""0.16 to 0.34 degrees from sample to sample on wearables (MacInnes 2018)."""
SMOOTHING = 0.05
OUTLIER = 3.0
RESIDUAL_TO_DEVIATION = 0.71
"""Mean distance of a sample to the mean of the four before it, to one axis' standard deviation (Rayleigh)."""
STEP_TO_DEVIATION = 1.77
"""Mean length of a step between two samples, to the same."""


class NoiseEstimator:
    """Two running means with outliers limited as Huber does.

    deviation_deg: standard deviation per axis round the current position, slow drift included.
    step_deg: mean length of the step from one sample to the next.
    """

    def __init__(self) -> None:
        self.deviation_deg = self.step_deg = FIRST_DEG

    def learn(self, residual_deg: float, step_deg: float) -> None:
        """Update with a fixation's sample: its distance to the current position, and to the last sample."""
        self.deviation_deg = _running(self.deviation_deg, residual_deg * RESIDUAL_TO_DEVIATION)
        self.step_deg = _running(self.step_deg, step_deg)

    def raise_to(self, places_deg: NDArray[np.float64]) -> None:
        """Raise the noise to that of (N, 2) points that never landed, if it is larger.

        From second differences, which a steady motion does not change.
        """
        if len(places_deg) < 3:
            return
        bend = float(np.median(np.abs(np.diff(places_deg, n=2, axis=0)))) / 0.6745 / np.sqrt(6.0)
        self.deviation_deg = max(self.deviation_deg, min(bend, MAX_DEG))
        self.step_deg = max(self.step_deg, min(STEP_TO_DEVIATION * bend, MAX_DEG))


def _running(mean: float, value: float) -> float:
    mean += SMOOTHING * (min(value, OUTLIER * mean) - mean)
    return min(max(mean, MIN_DEG), MAX_DEG)
