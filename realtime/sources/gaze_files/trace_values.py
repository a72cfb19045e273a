"""Defines the values of a gaze trace: its points, what it must fit, and what a user says about it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


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
