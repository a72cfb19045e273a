"""Averages measurements with exponential forgetting. Pure."""

from __future__ import annotations

WEIGHT = 0.2
"""Of the newest in a running mean."""


def running_mean(mean: float, value: float) -> float:
    """Of one more value; 0 is a mean of nothing yet."""
    return mean + (WEIGHT if mean else 1.0) * (value - mean)
