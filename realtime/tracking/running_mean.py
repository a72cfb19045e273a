"""Averages measurements with exponential forgetting. Pure."""

from __future__ import annotations

WEIGHT = 0.2
"""Share of the newest value in the mean."""


def running_mean(mean: float, value: float) -> float:
    """Update a mean with one more value; a mean of 0 is replaced by the value."""
    return mean + (WEIGHT if mean else 1.0) * (value - mean)
