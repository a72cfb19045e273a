"""Simulates biased eye trackers; shares nothing with the code under test."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

GRID = np.array([(x, y) for y in (-9.0, 0.0, 9.0) for x in (-15.0, 0.0, 15.0)])
INNER = np.array(
    [(-7.5, -4.5), (7.5, -4.5), (7.5, 4.5), (-7.5, 4.5), (0.0, -6.0), (11.0, 0.0), (0.0, 6.0), (-11.0, 0.0)]
)


@dataclass
class Tracker:
    """Simulates a tracker with gain, shear, quadratic and constant errors, degrees."""

    gain: np.ndarray
    bend: np.ndarray
    bias: np.ndarray

    @classmethod
    def random(cls, rng, *, gain=0.05, bend_deg=0.3, bias_deg=3.0):
        turn = rng.uniform(0, 2 * math.pi)
        bias = bias_deg * np.array([math.cos(turn), math.sin(turn)])
        return cls(rng.normal(0, gain, (2, 2)), rng.normal(0, bend_deg, (2, 3)), bias)

    def measure(self, at):
        """Compute the (N, 2) reported gaze of (N, 2) true gaze."""
        at = np.atleast_2d(at)
        u, v = at[:, 0] / 18, at[:, 1] / 11
        bend = np.array([u * u, u * v, v * v])
        return at + at @ self.gain.T + (self.bend @ bend).T + self.bias

    def samples(self, rng, at, count=40, *, target_sd=1.0, sample_sd=0.2, outliers=0.05):
        """Sample (count, 2) gaze of one fixation: biased as a whole, noisy each, with outliers."""
        middle = self.measure(at)[0] + rng.normal(0, target_sd, 2)
        out = middle + rng.normal(0, sample_sd, (count, 2))
        wild = rng.random(count) < outliers
        out[wild] += rng.uniform(-20, 20, (int(wild.sum()), 2))
        return out
