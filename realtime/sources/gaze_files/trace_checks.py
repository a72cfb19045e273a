"""Checks that a gaze trace fits its clip: clock, coordinates and confidence. Pure."""

from __future__ import annotations

import logging
import math
from pathlib import Path

import numpy as np

from realtime.errors import SourceError
from realtime.sources.gaze_files.layouts import TIME_UNITS_S
from realtime.sources.gaze_files.trace_values import ClipFacts, Floats, GazeTrack, Seconds

log = logging.getLogger(__name__)
MAX_NORM = 1.5
"""Gaze in pixels that never leaves this corner is in fractions of the picture."""
SLOW_S = 0.9
"""No eye tracker has a longer period; such times are in another unit."""
MIN_INSIDE, MIN_COVERED, MAX_IGNORED = 0.5, 0.5, 0.5
"""Share of the gaze within the picture below which a trace is refused; share of the clip that has gaze, and of the gaze
with too little confidence, that are a warning."""


def check_trace(path: Path, track: GazeTrack, clip: ClipFacts, *, is_norm: bool) -> None:
    """Raise `SourceError` for a trace on another clock, in another unit, or of too little confidence for the clip.

    is_norm: the points were fractions of the picture.
    """
    _check_clock(path, track.times, clip)
    check_confidence(path, track.confidence, clip.min_confidence)
    _check_coordinates(path, track.points[track.confidence > 0], clip, is_norm=is_norm)


def check_confidence(path: Path, confidence: Floats, min_confidence: float) -> None:
    """Raise `SourceError` where no confidence reaches the gaze filter's limit; warn where few do."""
    most, ignored = float(confidence.max()), float((confidence < min_confidence).mean())
    if most < min_confidence:
        raise SourceError(
            f"{path} has no confidence above {most:.3g}, and gaze below {min_confidence:.3g} is ignored; "
            f"add --set tracker.gaze.min_confidence={math.floor(most * 100) / 100:g}"
        )
    if ignored > MAX_IGNORED:
        log.warning(
            "%s: %.0f %% of the gaze is ignored, because its confidence is below %.3g", path, 100 * ignored,
            min_confidence,
        )  # fmt: skip


def _check_clock(path: Path, times: Seconds, clip: ClipFacts) -> None:
    if clip.duration_s is None:
        return
    first_s, last_s = float(times[0]), float(times[-1])
    within = float(((times >= 0) & (times <= clip.duration_s)).mean())
    period_s = float(np.median(np.diff(times))) if len(times) > 1 else 0.0
    if not within or (within < 0.5 and period_s > SLOW_S):
        raise SourceError(
            f"{path} is on another clock than its clip: gaze from {first_s:.15g} to {last_s:.15g} s, the clip from "
            f"0 to {clip.duration_s:.4g} s; {_suggest_clock(period_s, first_s)}"
        )
    covered_s = min(last_s, clip.duration_s) - max(first_s, 0.0)
    if len(times) > 1 and covered_s < MIN_COVERED * clip.duration_s:
        log.warning(
            "%s covers only a part of its clip: gaze from %.4g to %.4g s, the clip from 0 to %.4g s",
            path, first_s, last_s, clip.duration_s,
        )  # fmt: skip


def _check_coordinates(path: Path, points: Floats, clip: ClipFacts, *, is_norm: bool) -> None:
    """points: (N, 2) px, without blinks."""
    if not len(points):
        return
    width, height = clip.size
    most = float(np.abs(points).max())
    is_fraction = most <= MAX_NORM and bool((points % 1).any())
    if not is_norm and min(clip.size) > 8 * MAX_NORM and is_fraction:
        raise SourceError(
            f"{path} seems to be in fractions of the picture: x and y are {most:.3g} at most, the pictures have "
            f"{width} x {height} px; add ?unit=norm for fractions from the top left, or multiply"
        )
    inside = float(((points >= 0) & (points <= clip.size)).all(1).mean())
    if inside < MIN_INSIDE:
        shown = points / (clip.size if is_norm else (1, 1))
        (left, top), (right, bottom) = shown.min(0), shown.max(0)
        advice = "add ?unit=px if these are pixels" if is_norm else "add ?size=WIDTHxHEIGHT of what they are pixels of"
        raise SourceError(
            f"{path} is outside the picture in {1 - inside:.0%} of its rows: x from {left:.5g} to {right:.5g}, y from "
            f"{top:.5g} to {bottom:.5g}, the pictures have {width} x {height} px; {advice}"
        )


def _suggest_clock(period_s: float, first_s: float) -> str:
    unit = next((name for name, factor in TIME_UNITS_S.items() if 5e-4 < period_s * factor <= SLOW_S), "s")
    if unit == "s":
        return f"add ?start={first_s:.15g} if that is when the clip's first frame was taken, else the time when it was"
    text = f"its times are {period_s:g} apart, as if in {unit}: add ?time={unit}"
    return text if abs(first_s) < 10 * period_s else f"{text}&start=SECONDS, the time of the clip's first frame"
