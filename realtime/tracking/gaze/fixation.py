"""Collects the samples of one fixation or pursuit and estimates its centre, spread and drift."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from realtime.types import GazeSample

REFERENCE_SAMPLES = 4
REFERENCE_S = 0.02
"""The current position is the mean of at most so many samples, over at most so long."""
SETTLING_S = 0.01
"""The eye still oscillates after landing; these first samples are left out once there are enough others."""
DRIFT_S = 0.06
"""A shorter window does not separate drift from noise."""
KEPT_SAMPLES = 5
"""Kept at any age: a fixation continues after a blink from its last position."""
MEDIAN_ITERATIONS = 30
MEDIAN_TOLERANCE = 0.03
"""Distance (px) at which the iteration is on a sample; steps below a quarter of it end the search."""


@dataclass(slots=True, eq=False)
class FixationPoint:
    """A sample's position in the newest frame, px; `GazeFilter.move` rewrites x and y."""

    t_ns: int
    x: float
    y: float
    sample: GazeSample


class FixationSegment:
    """Points of one fixation or pursuit, oldest first."""

    def __init__(self, points: list[FixationPoint]) -> None:
        """`points`: at least one, in order of time."""
        self.points = points
        self.onset_ns = points[0].t_ns

    @property
    def newest(self) -> FixationPoint:
        """The latest point."""
        return self.points[-1]

    def add(self, point: FixationPoint, window_s: float, window_samples: int) -> None:
        """Insert a point in order of time and drop those that left the window."""
        points = self.points
        at = len(points)
        while at and points[at - 1].t_ns > point.t_ns:
            at -= 1
        points.insert(at, point)
        oldest_ns = points[-1].t_ns - round(window_s * 1e9)
        while len(points) > window_samples or (len(points) > KEPT_SAMPLES and points[0].t_ns < oldest_ns):
            points.pop(0)

    def reference(self) -> tuple[float, float]:
        """Compute the mean of the newest few points, px: the current position."""
        near = [self.points[-1]]
        oldest_ns = near[0].t_ns - round(REFERENCE_S * 1e9)
        for point in self.points[-2 : -REFERENCE_SAMPLES - 1 : -1]:
            if point.t_ns < oldest_ns:
                break
            near.append(point)
        return sum(p.x for p in near) / len(near), sum(p.y for p in near) / len(near)

    def table(self) -> NDArray[np.float64]:
        """Return (N, 3): seconds since the onset, x and y in px."""
        return np.array([((p.t_ns - self.onset_ns) * 1e-9, p.x, p.y) for p in self.points])


def estimate_centre(table: NDArray[np.float64]) -> tuple[float, float]:
    """Compute the geometric median, px, without the oscillation after landing if enough samples are left."""
    settled = table[table[:, 0] >= SETTLING_S]
    x, y = geometric_median((settled if len(settled) >= REFERENCE_SAMPLES else table)[:, 1:])
    return float(x), float(y)


def measure_spread(table: NDArray[np.float64], point_px: tuple[float, float]) -> float:
    """Compute the median distance to a point, px."""
    apart = np.hypot(table[:, 1] - point_px[0], table[:, 2] - point_px[1])
    return float(np.partition(apart, len(apart) // 2)[len(apart) // 2])


def measure_drift(table: NDArray[np.float64]) -> tuple[float, float] | None:
    """Measure the drift: px and seconds between the means of the older and the newer half of the window.

    None while there are too few samples or too little time.
    """
    if len(table) < 4 or table[-1, 0] - table[0, 0] < DRIFT_S:
        return None
    half = len(table) // 2
    seconds, x, y = table[-half:].mean(axis=0) - table[:half].mean(axis=0)
    return float(np.hypot(x, y)), float(seconds)


def geometric_median(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Compute the (2,) geometric median of (N, 2) finite points, N >= 1, by Weiszfeld's iteration.

    It has the least sum of distances and is robust to any minority of outliers. At a sample it leaves or stays as Vardi
    and Zhang (PNAS 2000) show. It starts at the median of each axis, which is robust too.
    """
    middle = len(points) // 2
    few = len(points) < 3
    centre: NDArray[np.float64] = points.mean(axis=0) if few else np.partition(points, middle, axis=0)[middle]
    if few:
        return centre
    for _ in range(MEDIAN_ITERATIONS):
        offsets = points - centre
        away = np.sqrt(np.einsum("ij,ij->i", offsets, offsets))
        here = away < MEDIAN_TOLERANCE
        weights = np.where(here, 0.0, 1.0 / np.maximum(away, MEDIAN_TOLERANCE))
        pull = weights @ offsets
        step = pull / max(weights.sum(), 1e-12)
        if here.any():
            strength = float(np.hypot(*pull))
            if strength <= here.sum():
                break  # the samples here outweigh the pull of all others
            step = step * (1.0 - here.sum() / strength)
        centre = centre + step
        if abs(step[0]) + abs(step[1]) < MEDIAN_TOLERANCE / 4:
            break
    return centre
