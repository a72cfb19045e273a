"""Checks that a gaze trace fits its clip: clock, coordinates and confidence. Pure."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from statistics import median

from realtime.errors import SourceError
from realtime.sources.gaze_files.layouts import TIME_UNITS_S
from realtime.sources.gaze_files.trace_values import ClipFacts, TracePoint

MAX_NORM = 1.5
"""Gaze in pixels that never leaves this corner is in fractions of the picture."""
SLOW_S = 0.9
"""No eye tracker has a longer period; such times are in another unit."""
MIN_INSIDE, MIN_COVERED, MAX_IGNORED = 0.5, 0.5, 0.5
"""Share of the gaze within the picture below which a trace is refused; share of the clip that has gaze, and of the gaze
with too little confidence, that are a warning."""


def check_trace(path: Path, points: Sequence[TracePoint], clip: ClipFacts, *, is_norm: bool) -> None:
    """Raise `SourceError` for a trace on another clock, in another unit, or of too little confidence for the clip.

    is_norm: the points were fractions of the picture.
    """
    _check_clock(path, points, clip)
    check_confidence(path, [point.confidence for point in points], clip.min_confidence)
    _check_coordinates(path, [point for point in points if point.confidence > 0], clip, is_norm=is_norm)


def check_confidence(path: Path, confidences: Sequence[float], min_confidence: float) -> None:
    """Raise `SourceError` where no confidence reaches the gaze filter's limit; warn where few do."""
    most = max(confidences)
    if most < min_confidence:
        raise SourceError(
            f"{path} has no confidence above {most:.3g}, and gaze below {min_confidence:.3g} is ignored; "
            f"add --set tracker.gaze.min_confidence={math.floor(most * 100) / 100:g}"
        )
    ignored = sum(confidence < min_confidence for confidence in confidences) / len(confidences)
    if ignored > MAX_IGNORED:
        logging.getLogger(__name__).warning(
            "%s: %.0f %% of the gaze is ignored, because its confidence is below %.3g", path, 100 * ignored,
            min_confidence,
        )  # fmt: skip


def _check_clock(path: Path, points: Sequence[TracePoint], clip: ClipFacts) -> None:
    if clip.duration_s is None:
        return
    first_s, last_s = points[0].timestamp, points[-1].timestamp
    within = sum(0 <= point.timestamp <= clip.duration_s for point in points)
    period_s = median([b.timestamp - a.timestamp for a, b in pairwise(points)] or [0.0])
    if not within or (within < len(points) / 2 and period_s > SLOW_S):
        raise SourceError(
            f"{path} is on another clock than its clip: gaze from {first_s:.15g} to {last_s:.15g} s, the clip from "
            f"0 to {clip.duration_s:.4g} s; {_suggest_clock(period_s, first_s)}"
        )
    covered_s = min(last_s, clip.duration_s) - max(first_s, 0.0)
    if len(points) > 1 and covered_s < MIN_COVERED * clip.duration_s:
        logging.getLogger(__name__).warning(
            "%s covers only a part of its clip: gaze from %.4g to %.4g s, the clip from 0 to %.4g s",
            path, first_s, last_s, clip.duration_s,
        )  # fmt: skip


def _check_coordinates(path: Path, seen: Sequence[TracePoint], clip: ClipFacts, *, is_norm: bool) -> None:
    if not seen:
        return
    width, height = clip.size
    most = max(max(abs(point.x), abs(point.y)) for point in seen)
    is_fraction = most <= MAX_NORM and any(point.x % 1 or point.y % 1 for point in seen)
    if not is_norm and min(clip.size) > 8 * MAX_NORM and is_fraction:
        raise SourceError(
            f"{path} seems to be in fractions of the picture: x and y are {most:.3g} at most, the pictures have "
            f"{width} x {height} px; add ?unit=norm for fractions from the top left, or multiply"
        )
    inside = sum(0 <= point.x <= width and 0 <= point.y <= height for point in seen)
    if inside < MIN_INSIDE * len(seen):
        across, down = (width, height) if is_norm else (1, 1)
        xs, ys = [point.x / across for point in seen], [point.y / down for point in seen]
        advice = "add ?unit=px if these are pixels" if is_norm else "add ?size=WIDTHxHEIGHT of what they are pixels of"
        raise SourceError(
            f"{path} is outside the picture in {1 - inside / len(seen):.0%} of its rows: x from {min(xs):.5g} to "
            f"{max(xs):.5g}, y from {min(ys):.5g} to {max(ys):.5g}, the pictures have {width} x {height} px; {advice}"
        )


def _suggest_clock(period_s: float, first_s: float) -> str:
    unit = next((name for name, factor in TIME_UNITS_S.items() if 5e-4 < period_s * factor <= SLOW_S), "s")
    if unit == "s":
        return f"add ?start={first_s:.15g} if that is when the clip's first frame was taken, else the time when it was"
    text = f"its times are {period_s:g} apart, as if in {unit}: add ?time={unit}"
    return text if abs(first_s) < 10 * period_s else f"{text}&start=SECONDS, the time of the clip's first frame"
