"""Reads gaze traces from the tables of many programs, and converts them to the clip's clock and pixels."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

from realtime.errors import SourceError
from realtime.sources.gaze_files.frame_times import find_clip_start
from realtime.sources.gaze_files.layouts import TIME_UNITS_S, FoundLayout, decide_time_unit
from realtime.sources.gaze_files.table import HEADER, GazeRows, NumberedRow, parse_number, read_rows
from realtime.sources.gaze_files.trace_checks import check_trace
from realtime.sources.gaze_files.trace_values import ClipFacts, TraceOptions, TracePoint


def read_trace(
    path: Path, clip: ClipFacts | None = None, options: TraceOptions | None = None
) -> tuple[TracePoint, ...]:
    """Read a CSV with the header `timestamp,x,y,confidence` (confidence may be missing), or another program's table.

    The points are sorted by time. A row without x or y, or with NaN there, is a blink: confidence 0 at the previous
    position. clip: what it must fit; also needed for points in fractions of the picture. Raises `SourceError` that
    names the first invalid line, or what does not fit, with the ranges of both.
    """
    options = options or TraceOptions()
    table = read_rows(path)
    layout = table.found.layout
    read = [_read_row(path, table.found, row) for row in table.rows if layout.is_gaze(row.cells)]
    if not any(not math.isnan(point.x + point.y) for point in read):
        raise SourceError(f"{path} has no row with a gaze point; expected rows of {HEADER} in pixels")
    unit = options.time or decide_time_unit(table.found, (point.timestamp for point in read))
    read = [replace(point, timestamp=point.timestamp * TIME_UNITS_S[unit]) for point in read]
    _warn_of_order(path, read)
    start_s = _find_start(path, table, read, clip, options)
    points = _fill_blinks([replace(point, timestamp=point.timestamp - start_s) for point in read])
    is_norm = layout.is_norm if options.unit is None else options.unit == "norm"
    points = _to_pixels(path, table, points, clip, options, is_norm=is_norm)
    if clip is not None:
        check_trace(path, points, clip, is_norm=is_norm)
    return tuple(points)


def _read_row(path: Path, found: FoundLayout, row: NumberedRow) -> TracePoint:
    """Read a row on the table's clock; x and y are NaN in a blink. Raises `SourceError` that names the invalid cell."""
    layout, cells = found.layout, row.cells
    time = _parse_cell(path, row, "timestamp", cells.get(found.time, ""))
    if math.isnan(time):
        raise SourceError(
            f"{path} line {row.number}: timestamp is {cells.get(found.time, '')!r:.40}; expected a number"
        )
    eyes = [
        (_parse_cell(path, row, "x", cells.get(x, "")), _parse_cell(path, row, "y", cells.get(y, "")))
        for x, y in found.eyes
    ]
    seen = [eye for eye in eyes if not math.isnan(eye[0] + eye[1]) and eye != (layout.lost, layout.lost)]
    x, y = (sum(values) / len(seen) for values in zip(*seen, strict=True)) if seen else (math.nan, math.nan)
    text = layout.confidence(cells)
    confidence = _parse_cell(path, row, "confidence", text, "0 to 1")
    confidence = 0.0 if math.isnan(confidence) else confidence
    if not 0 <= confidence <= 1:
        raise SourceError(f"{path} line {row.number}: confidence is {text!r:.40}; expected 0 to 1")
    return TracePoint(time, x, 1 - y if layout.is_from_bottom else y, confidence)


def _parse_cell(path: Path, row: NumberedRow, name: str, text: str, expected: str = "") -> float:
    try:
        return parse_number(text)
    except ValueError as error:
        raise SourceError(f"{path} line {row.number}: {name} is {text!r:.40}; expected {expected or error}") from None


def _find_start(
    path: Path, table: GazeRows, read: Sequence[TracePoint], clip: ClipFacts | None, options: TraceOptions
) -> float:
    """Return the time of the clip's first frame on the table's clock, s."""
    layout = table.found.layout
    if options.start_s is not None:
        return options.start_s
    if table.start_s is not None:
        return table.start_s
    if not layout.own_clock:
        return 0.0
    start_s = clip.start_s if clip is not None else None
    if start_s is None:
        start_s = find_clip_start(path, clip.path if clip is not None else None)
    if start_s is not None:
        return start_s
    logging.getLogger(__name__).warning(
        "%s is on the clock of %s, and no times of frames (world_timestamps.csv) are beside it or the clip: its first "
        "sample is taken for the clip's start; ?start=SECONDS sets another",
        path, layout.tool,
    )  # fmt: skip
    return min(point.timestamp for point in read)


def _fill_blinks(read: list[TracePoint]) -> list[TracePoint]:
    """Sort by time without repetitions; give blinks confidence 0 at the previous position."""
    x, y = next((point.x, point.y) for point in read if not math.isnan(point.x + point.y))
    points: list[TracePoint] = []
    for point in sorted(read, key=lambda point: point.timestamp):
        is_open = not math.isnan(point.x + point.y)
        x, y = (point.x, point.y) if is_open else (x, y)
        filled = TracePoint(point.timestamp, x, y, point.confidence if is_open else 0.0)
        if not points or filled != points[-1]:
            points.append(filled)
    return points


def _warn_of_order(path: Path, read: list[TracePoint]) -> None:
    steps = [b.timestamp - a.timestamp for a, b in pairwise(read)]
    backward, repeated = sum(step < 0 for step in steps), sum(step == 0 for step in steps)
    if steps and repeated == len(steps):
        raise SourceError(f"{path}: all {len(read)} rows have the time {read[0].timestamp:.15g} s; expected their own")
    if backward or repeated:
        logging.getLogger(__name__).warning(
            "%s: %d rows are earlier than the one before and were sorted, %d have its time", path, backward, repeated
        )


def _to_pixels(
    path: Path, table: GazeRows, points: list[TracePoint], clip: ClipFacts | None, options: TraceOptions,
    *, is_norm: bool,
) -> list[TracePoint]:  # fmt: skip
    """Scale fractions of the picture, or pixels of a picture of another size, to the clip's pixels."""
    size = (1, 1) if is_norm else options.size or _read_size(table)
    if size is None or (clip is not None and size == clip.size):
        return points
    if clip is None:
        if not is_norm:
            return points
        raise SourceError(
            f"{path} of {table.found.layout.tool} is in fractions of the picture, whose size is unknown here"
        )
    across, down = clip.size[0] / size[0], clip.size[1] / size[1]
    if not is_norm:
        logging.getLogger(__name__).warning(
            "%s: its pixels are of a picture of %d x %d, and are scaled to the clip's %d x %d", path, *size, *clip.size
        )
    return [replace(point, x=point.x * across, y=point.y * down) for point in points]


def _read_size(table: GazeRows) -> tuple[int, int] | None:
    """Read the size of the picture that the pixels are of, where the table says it."""
    for row in table.rows if table.found.size else ():
        try:
            width, height = (parse_number(row.cells.get(name, "")) for name in table.found.size or ())
        except ValueError:
            continue
        if 1 <= width <= 100_000 and 1 <= height <= 100_000:
            return round(width), round(height)
    return None
