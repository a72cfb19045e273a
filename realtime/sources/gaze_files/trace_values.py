"""Defines the values of a gaze trace: its points, what it must fit, and what a user says about it. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Seconds = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class TracePoint:
    """Holds one row: seconds on the clip's clock (0 is its first frame), frame pixels with the origin top left.

    px_per_degree: the picture's scale there, where the camera is known.
    """

    timestamp: float
    x: float
    y: float
    confidence: float
    px_per_degree: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class GazeTrack:
    """Holds gaze, sorted by time: (N,) s, (N, 2) px from the top left, (N,) confidence 0..1.

    origin: the files it was read from, as they are named to the user.
    """

    times: Seconds
    points: Floats
    confidence: Floats
    origin: str

    @classmethod
    def from_lists(cls, times: Any, points: Any, confidence: Any, origin: str) -> GazeTrack:
        """Sort by time and leave out repetitions; a point that is not finite is a blink at the position before.

        A blink has confidence 0. At least one point must be finite.
        """
        with np.errstate(invalid="ignore"):  # of damaged files
            times, points, confidence = (np.asarray(each, np.float64) for each in (times, points, confidence))
        order = np.argsort(times, kind="stable")
        times, points = times[order], points.reshape(-1, 2)[order]
        confidence = np.clip(np.nan_to_num(confidence), 0.0, 1.0)[order]
        is_seen = np.isfinite(points).all(1)
        last_seen = np.maximum.accumulate(np.where(is_seen, np.arange(len(points)), -1))
        points = points[np.where(last_seen < 0, int(np.argmax(is_seen)), last_seen)]
        confidence = np.where(is_seen, confidence, 0.0)
        rows = np.column_stack([times, points, confidence])
        is_new = np.concatenate([[True], (rows[1:] != rows[:-1]).any(1)])
        return cls(times[is_new], points[is_new], confidence[is_new], origin)

    def to_points(self, px_per_degree: Floats | None = None) -> tuple[TracePoint, ...]:
        """Return one `TracePoint` for each sample. px_per_degree: (N,), NaN where it is unknown."""
        columns = [column.tolist() for column in (self.times, *self.points.T, self.confidence)]
        scale = (None,) * len(self.times) if px_per_degree is None else _to_optional(px_per_degree)
        return tuple(TracePoint(*sample) for sample in zip(*columns, scale, strict=True))


def _to_optional(numbers: Floats) -> list[float | None]:
    return [number if math.isfinite(number) else None for number in numbers.tolist()]


@dataclass(frozen=True, slots=True)
class TraceOptions:
    """Says what a table cannot: the unit of its times (s, ms, us, ns) and points (px, norm), and the clip's start.

    start_s: seconds on the table's clock at the clip's first frame. None is decided by the table.
    size: (width, height) of the picture or screen that the pixels are of; None is the clip's.
    """

    time: str | None = None
    unit: str | None = None
    start_s: float | None = None
    size: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class ClipFacts:
    """Holds what a trace must fit: the clip's (width, height) px, its length if known, the gaze filter's limit.

    path: of the clip, beside which the times of its frames may lie. start_s: time of its first frame on its headset's
        clock, where it is known.
    """

    size: tuple[int, int]
    duration_s: float | None = None
    min_confidence: float = 0.0
    path: Path | None = None
    start_s: float | None = None
