"""The geometric median: the point with the least sum of distances, moved little by any minority of outliers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

ITERATIONS = 8
NEAR = 0.03
"""Steps below this many units (here: pixels) end the search; also the least distance that counts."""


def geometric_median(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """The (2,) geometric median of (N, 2) finite points, N >= 1, by Weiszfeld's iteration.

    Vardi and Zhang (PNAS 2000) show how to leave a point that the iteration lands on; a floor under the distances does
    the same here to well below a pixel. It starts at the median of each axis, which outliers hardly move either.
    """
    middle = len(points) // 2
    few = len(points) < 3
    centre: NDArray[np.float64] = points.mean(axis=0) if few else np.partition(points, middle, axis=0)[middle]
    if few:
        return centre
    for _ in range(ITERATIONS):
        offsets = points - centre
        weights = 1.0 / np.maximum(np.sqrt(np.einsum("ij,ij->i", offsets, offsets)), NEAR)
        step = weights @ offsets / weights.sum()
        centre = centre + step
        if abs(step[0]) + abs(step[1]) < NEAR:
            break
    return centre
