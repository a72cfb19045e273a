"""The geometric median: the point with the least sum of distances, moved little by any minority of outliers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

ITERATIONS = 30
NEAR = 0.03
"""Closer to a sample than this many units (here: pixels) is on it; steps below a quarter of it end the search."""


def geometric_median(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """The (2,) geometric median of (N, 2) finite points, N >= 1, by Weiszfeld's iteration.

    Where it lands on a sample, it leaves it or stays as Vardi and Zhang (PNAS 2000) show. It starts at the median of
    each axis, which outliers hardly move either.
    """
    middle = len(points) // 2
    few = len(points) < 3
    centre: NDArray[np.float64] = points.mean(axis=0) if few else np.partition(points, middle, axis=0)[middle]
    if few:
        return centre
    for _ in range(ITERATIONS):
        offsets = points - centre
        away = np.sqrt(np.einsum("ij,ij->i", offsets, offsets))
        here = away < NEAR
        weights = np.where(here, 0.0, 1.0 / np.maximum(away, NEAR))
        pull = weights @ offsets
        step = pull / max(weights.sum(), 1e-12)
        if here.any():
            strength = float(np.hypot(*pull))
            if strength <= here.sum():
                break  # the samples here outweigh the pull of all others
            step = step * (1.0 - here.sum() / strength)
        centre = centre + step
        if abs(step[0]) + abs(step[1]) < NEAR / 4:
            break
    return centre
