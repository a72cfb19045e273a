"""Reads gaze traces from the tables of many programs, checks them, and plays them in sync with their clip."""

from __future__ import annotations

import csv
import io
import logging
import math
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from statistics import median

from calibration.text import to_utf8
from realtime.errors import SourceError
from realtime.sources.gaze_files.layouts import (
    TIME_UNITS_S,
    GazeLayout,
    Row,
    explain_unusable,
    find_layout,
    read_time_unit,
)
from realtime.sources.synced_gaze import SyncedGaze
from realtime.sources.video.video_file import PlaybackClock
from realtime.types import GazeSample

HEADER = "timestamp,x,y,confidence"
TABLES = "a table of Pupil Player, Pupil Cloud, Tobii Pro Lab or Gazepoint"
WORLD_TIMES = "world_timestamps.csv"
"""In exports of Pupil Player and Pupil Cloud: the time of each frame, the first being the clip's start."""
MAX_NORM = 1.5
"""Gaze in pixels that never leaves this corner is in fractions of the picture."""
SLOW_S = 0.9
"""No eye tracker has a longer period; such times are in another unit."""


@dataclass(frozen=True, slots=True)
class TracePoint:
    """Holds one row: seconds on the clip's clock (0 is its first frame), frame pixels with the origin top left."""

    timestamp: float
    x: float
    y: float
    confidence: float


@dataclass(frozen=True, slots=True)
class TraceOptions:
    """Says what a table cannot: the unit of its times (s, ms, us, ns) and points (px, norm), and the clip's start.

    start_s: seconds on the table's clock at the clip's first frame. None is decided by the table.
    """

    time: str | None = None
    unit: str | None = None
    start_s: float | None = None


@dataclass(frozen=True, slots=True)
class ClipFacts:
    """Holds what a trace must fit: the clip's (width, height) px, its length if known, the gaze filter's limit."""

    size: tuple[int, int]
    duration_s: float | None = None
    min_confidence: float = 0.0


def read_trace(
    path: Path, clip: ClipFacts | None = None, options: TraceOptions | None = None
) -> tuple[TracePoint, ...]:
    """Read a CSV with the header `timestamp,x,y,confidence` (confidence may be missing), or another program's table.

    The points are sorted by time. A row without x or y, or with NaN there, is a blink: confidence 0 at the previous
    position. clip: what it must fit; also needed for points in fractions of the picture. Raises `SourceError` that
    names the first invalid line, or what does not fit, with the ranges of both.
    """
    options = options or TraceOptions()
    layout, unit_s, names, rows = _read_table(path)
    unit_s = TIME_UNITS_S[options.time] if options.time else unit_s
    read = [_read_row(path, number, layout, names, row, unit_s) for number, row in rows if layout.is_gaze(row)]
    if not any(not math.isnan(point.x + point.y) for point in read):
        raise SourceError(f"{path} has no row with a gaze point; expected rows of {HEADER} in pixels")
    start_s = _find_start(path, layout, unit_s, rows, read, options)
    points = _fill_blinks([replace(point, timestamp=point.timestamp - start_s) for point in read])
    _warn_of_order(path, read)
    is_norm = layout.is_norm if options.unit is None else options.unit == "norm"
    if is_norm:
        points = _to_pixels(path, layout, points, clip)
    if clip is not None:
        check_trace(path, points, clip, is_norm=is_norm)
    return tuple(points)


def check_trace(path: Path, points: list[TracePoint], clip: ClipFacts, *, is_norm: bool) -> None:
    """Raise `SourceError` for a trace on another clock, in another unit, or of too little confidence for the clip."""
    first_s, last_s = points[0].timestamp, points[-1].timestamp
    if clip.duration_s is not None:
        within = sum(0 <= point.timestamp <= clip.duration_s for point in points)
        period_s = median([b.timestamp - a.timestamp for a, b in pairwise(points)] or [0.0])
        if not within or (within < len(points) / 2 and period_s > SLOW_S):
            raise SourceError(
                f"{path} is on another clock than its clip: gaze from {first_s:.15g} to {last_s:.15g} s, the clip from "
                f"0 to {clip.duration_s:.4g} s; {_suggest_clock(period_s, first_s)}"
            )
    seen = [point for point in points if point.confidence > 0]
    if not is_norm and min(clip.size) > 8 * MAX_NORM and seen:
        most = max(max(abs(point.x), abs(point.y)) for point in seen)
        if most <= MAX_NORM and any(point.x % 1 or point.y % 1 for point in seen):
            raise SourceError(
                f"{path} seems to be in fractions of the picture: x and y are {most:.3g} at most, the pictures have "
                f"{clip.size[0]} x {clip.size[1]} px; add ?unit=norm for fractions from the top left, or multiply"
            )
    most = max(point.confidence for point in points)
    if most < clip.min_confidence:
        raise SourceError(
            f"{path} has no confidence above {most:.3g}, and gaze below {clip.min_confidence:.3g} is ignored; "
            f"add --set tracker.gaze.min_confidence={math.floor(most * 100) / 100:g}"
        )


def _suggest_clock(period_s: float, first_s: float) -> str:
    unit = next((name for name, factor in TIME_UNITS_S.items() if 5e-4 < period_s * factor <= SLOW_S), "s")
    if unit == "s":
        return f"add ?start={first_s:.15g} if that is when the clip's first frame was taken, else the time when it was"
    text = f"its times are {period_s:g} apart, as if in {unit}: add ?time={unit}"
    return text if abs(first_s) < 10 * period_s else f"{text}&start=SECONDS, the time of the clip's first frame"


def _read_table(path: Path) -> tuple[GazeLayout, float, tuple[str, str, str], list[tuple[int, Row]]]:
    """Read a table in any usual encoding and with any separator: layout, unit of time (s), columns, numbered rows."""
    try:
        text = _decode(to_utf8(path.read_bytes()))
        separator = max(",;\t", key=text.partition("\n")[0].count)
        lines = list(csv.reader(io.StringIO(text, newline=""), delimiter=separator))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise SourceError(f"cannot read the gaze trace {path}: {error}; expected a CSV with {HEADER}") from error
    names = [name.strip().lower() for name in lines[0]] if lines else []
    found = find_layout(names)
    if found is None:
        expected = explain_unusable(names) or f"expected the header {HEADER}, or {TABLES}"
        raise SourceError(f"{path} line 1 is {separator.join(names)!r:.80}; {expected}")
    rows: list[tuple[int, Row]] = []
    for number, cells in enumerate(lines[1:], start=2):
        if any(cell.strip() for cell in cells):
            texts = [_to_point(cell.strip(), separator) for cell in cells] + [""] * len(names)
            rows.append((number, dict(zip(names, texts, strict=False))))
    layout, columns = found
    recordings = {row["recording id"] for _, row in rows if "recording id" in row}
    if len(recordings) > 1:
        raise SourceError(f"{path} holds {len(recordings)} recordings; expected the rows of one")
    return layout, TIME_UNITS_S[read_time_unit(layout, columns[0])], columns, rows


def _decode(data: bytes) -> str:
    """Decode UTF-8, or what Windows programs write in its place; raises UnicodeDecodeError for what is no text."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        if b"\0" in data:
            raise
        return data.decode("cp1252", "replace")


def _to_point(cell: str, separator: str) -> str:
    """Return a number with a decimal point, which a table that is not separated by commas may write as a comma."""
    return cell.replace(",", ".") if separator != "," and cell.count(",") == 1 and "." not in cell else cell


def _read_row(
    path: Path, number: int, layout: GazeLayout, columns: tuple[str, str, str], row: Row, unit_s: float
) -> TracePoint:
    """Read a row; x and y are NaN in a blink. Raises `SourceError` that names the invalid cell."""
    values = []
    texts = [*(row.get(name, "") for name in columns), layout.confidence(row)]
    for name, text, missing in zip(
        ("timestamp", "x", "y", "confidence"), texts, (None, math.nan, math.nan, 0.0), strict=True
    ):
        try:
            value = float(text) if text else math.nan
        except ValueError:
            value = math.inf
        if math.isnan(value) and missing is not None:
            value = missing
        elif not math.isfinite(value) or (name == "confidence" and not 0 <= value <= 1):
            expected = "0 to 1" if name == "confidence" else "a number"
            raise SourceError(f"{path} line {number}: {name} is {text!r:.40}; expected {expected}")
        values.append(value)
    time, x, y, confidence = values
    return TracePoint(time * unit_s, x, 1 - y if layout.is_from_bottom else y, confidence)


def _find_start(
    path: Path, layout: GazeLayout, unit_s: float, rows: list[tuple[int, Row]], read: list[TracePoint],
    options: TraceOptions,
) -> float:  # fmt: skip
    """Return the time of the clip's first frame on the table's clock, s."""
    if options.start_s is not None:
        return options.start_s
    if not layout.own_clock:
        return 0.0
    beside = path.with_name(WORLD_TIMES)
    if beside.is_file():
        return _read_first_time(beside) * unit_s
    logging.getLogger(__name__).warning(
        "%s is on the clock of %s, and no %s is beside it: its first sample is taken for the clip's start; "
        "?start=SECONDS sets another",
        path, layout.tool, WORLD_TIMES,
    )  # fmt: skip
    return min(point.timestamp for point in read)


def _read_first_time(path: Path) -> float:
    """Read the first time of a table of frame times."""
    try:
        names, *rows = csv.reader(io.StringIO(to_utf8(path.read_bytes()).decode(), newline=""))
        column = next(index for index, name in enumerate(names) if "timestamp" in name.lower())
        return next(float(row[column]) for row in rows if row)
    except (OSError, ValueError, IndexError, StopIteration, csv.Error) as error:
        raise SourceError(f"{path} is no table of frame times ({error}); expected a column of timestamps") from None


def _fill_blinks(read: list[TracePoint]) -> list[TracePoint]:
    """Sort by time; give blinks confidence 0 at the previous position."""
    x, y = next((point.x, point.y) for point in read if not math.isnan(point.x + point.y))
    points = []
    for point in sorted(read, key=lambda point: point.timestamp):
        is_open = not math.isnan(point.x + point.y)
        x, y = (point.x, point.y) if is_open else (x, y)
        points.append(TracePoint(point.timestamp, x, y, point.confidence if is_open else 0.0))
    return points


def _warn_of_order(path: Path, read: list[TracePoint]) -> None:
    steps = [b.timestamp - a.timestamp for a, b in pairwise(read)]
    backward, repeated = sum(step < 0 for step in steps), sum(step == 0 for step in steps)
    if backward or repeated:
        logging.getLogger(__name__).warning(
            "%s: %d rows are earlier than the one before and were sorted, %d have its time", path, backward, repeated
        )


def _to_pixels(path: Path, layout: GazeLayout, points: list[TracePoint], clip: ClipFacts | None) -> list[TracePoint]:
    if clip is None:
        raise SourceError(f"{path} of {layout.tool} is in fractions of the picture, whose size is unknown here")
    width, height = clip.size
    return [replace(point, x=point.x * width, y=point.y * height) for point in points]


class TraceGaze(SyncedGaze):
    """A `GazeSource` that plays a trace on the clock of a clip, and repeats it with the clip."""

    def __init__(
        self, path: Path, clip: PlaybackClock, facts: ClipFacts | None = None, options: TraceOptions | None = None
    ) -> None:
        """Raises `SourceError` unless every row of the trace is valid and fits the clip."""
        super().__init__(clip, "waiting for the clip to begin")
        self._points = read_trace(path, facts, options)
        self._pass = self._next = 0

    def _due_s(self) -> float | None:
        clip, start_s = self._clock, self._pass * (self._clock.period_s or 0.0)
        due_s = start_s + self._points[self._next].timestamp if self._next < len(self._points) else None
        if clip.passes > self._pass + 1 and (due_s is None or due_s >= start_s + (clip.period_s or 0.0)):
            self._pass, self._next = self._pass + 1, 0
            return self._due_s()
        if clip.end_s is not None and (due_s is None or due_s >= clip.end_s):
            self._monitor.set_state("ended", "the clip has ended")
            return None
        return due_s

    def _next_sample(self) -> tuple[GazeSample, int]:
        point, clip_s = self._points[self._next], self._pass * (self._clock.period_s or 0.0)
        self._next += 1
        return GazeSample(point.x, point.y, "px", point.confidence, clip_s + point.timestamp, 0, 0), 0
