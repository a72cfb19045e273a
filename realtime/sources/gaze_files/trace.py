"""Reads gaze traces from the tables of many programs, and converts them to the clip's clock and pixels."""

from __future__ import annotations

import logging
import math
from array import array
from pathlib import Path

import numpy as np

from realtime.errors import SourceError
from realtime.sources.gaze_files.frame_times import find_clip_start
from realtime.sources.gaze_files.layouts import TIME_UNITS_S, FoundLayout, decide_time_unit
from realtime.sources.gaze_files.line_formats import GazeRows, NumberedRow
from realtime.sources.gaze_files.table import HEADER, parse_number, read_rows
from realtime.sources.gaze_files.trace_checks import check_trace
from realtime.sources.gaze_files.trace_values import ClipFacts, Floats, GazeTrack, Seconds, TraceOptions, TracePoint

log = logging.getLogger(__name__)


def read_trace(
    path: Path, clip: ClipFacts | None = None, options: TraceOptions | None = None
) -> tuple[TracePoint, ...]:
    """Read a trace as `read_track` does, as points."""
    return read_track(path, clip, options).to_points()


def read_track(path: Path, clip: ClipFacts | None = None, options: TraceOptions | None = None) -> GazeTrack:
    """Read a CSV with the header `timestamp,x,y,confidence` (confidence may be missing), or another program's table.

    The samples are sorted by time. A row without x or y, or with NaN there, is a blink: confidence 0 at the previous
    position. clip: what it must fit; also needed for points in fractions of the picture. Raises `SourceError` that
    names the first invalid line, or what does not fit, with the ranges of both.
    """
    options = options or TraceOptions()
    table = read_rows(path)
    layout = table.found.layout
    samples, table_size = _read_samples(path, table)
    if not np.isfinite(samples[:, 1:3]).all(1).any():
        raise SourceError(f"{path} has no row with a gaze point; expected rows of {HEADER} in pixels")
    times, points, confidence = samples[:, 0], samples[:, 1:3], samples[:, 3]
    times = times * TIME_UNITS_S[options.time or decide_time_unit(table.found, times)]
    _check_order(path, times)
    times = times - _find_start(path, table, times, clip, options)
    is_norm = layout.is_norm if options.unit is None else options.unit == "norm"
    if is_norm and layout.is_from_bottom:
        points = np.column_stack([points[:, 0], 1 - points[:, 1]])
    points = points * _find_scale(path, layout.tool, options.size or table_size, clip, is_norm=is_norm)
    track = GazeTrack.from_lists(times, points, confidence, path.name)
    if clip is not None:
        check_trace(path, track, clip, is_norm=is_norm)
    return track


def _read_samples(path: Path, table: GazeRows) -> tuple[Floats, tuple[int, int] | None]:
    """Read (N, 4) time, x, y, confidence as the table has them, and the size of the picture where it says it."""
    found, layout = table.found, table.found.layout
    numbers = array("d")
    values: dict[str, dict[str, None]] = {name: {} for name in layout.one_of}
    size = None
    for row in table.rows:
        if layout.is_gaze(row.cells):
            numbers.extend(_read_row(path, found, row))
            for name, seen in values.items():
                if cell := row.cells.get(name):
                    seen[cell] = None
            size = size or _read_size(found, row)
    for name, seen in values.items():
        if len(seen) > 1:
            raise SourceError(
                f"{path} holds {len(seen)} recordings or parts: {name} is {', '.join(list(seen)[:4])!r:.60}; keep the "
                "rows of the one that the clip shows"
            )
    return np.array(numbers).reshape(-1, 4), size


def _read_row(path: Path, found: FoundLayout, row: NumberedRow) -> tuple[float, float, float, float]:
    """Read time, x, y (NaN in a blink) and confidence. Raises `SourceError` that names the invalid cell."""
    layout, cells = found.layout, row.cells

    def parse(name: str, text: str, expected: str = "") -> float:
        try:
            return parse_number(text)
        except ValueError as error:
            raise _describe_cell(path, row, name, text, expected or str(error)) from None

    text = cells.get(found.time, "")
    time = parse("timestamp", text)
    if math.isnan(time):
        raise _describe_cell(path, row, "timestamp", text, "a number")
    eyes = [(parse("x", cells.get(x, "")), parse("y", cells.get(y, ""))) for x, y in found.eyes]
    seen = [eye for eye in eyes if not math.isnan(eye[0] + eye[1]) and eye != (layout.lost, layout.lost)]
    x, y = (sum(axis) / len(seen) for axis in zip(*seen, strict=True)) if seen else (math.nan, math.nan)
    text = layout.confidence(cells)
    confidence = parse("confidence", text, "0 to 1")
    if not 0 <= confidence <= 1 and not math.isnan(confidence):
        raise _describe_cell(path, row, "confidence", text, "0 to 1")
    return time, x, y, confidence


def _describe_cell(path: Path, row: NumberedRow, name: str, text: str, expected: str) -> SourceError:
    return SourceError(f"{path} line {row.number}: {name} is {text!r:.40}; expected {expected}")


def _read_size(found: FoundLayout, row: NumberedRow) -> tuple[int, int] | None:
    """Read the size of the picture that the pixels are of, where the row says it."""
    if found.size is None:
        return None
    try:
        width, height = (parse_number(row.cells.get(name, "")) for name in found.size)
    except ValueError:
        return None
    return (round(width), round(height)) if 1 <= width <= 100_000 and 1 <= height <= 100_000 else None


def _check_order(path: Path, times: Seconds) -> None:
    """Warn of rows that are out of order or repeat a time; raises `SourceError` where all have one time."""
    steps = np.diff(times)
    backward, repeated = int((steps < 0).sum()), int((steps == 0).sum())
    if len(steps) and repeated == len(steps):
        raise SourceError(f"{path}: all {len(times)} rows have the time {times[0]:.15g} s; expected their own")
    if backward or repeated:
        log.warning(
            "%s: %d rows are earlier than the one before and were sorted, %d have its time", path, backward, repeated
        )


def _find_start(path: Path, table: GazeRows, times: Seconds, clip: ClipFacts | None, options: TraceOptions) -> float:
    """Return the time of the clip's first frame on the table's clock, s."""
    layout = table.found.layout
    known = options.start_s if options.start_s is not None else table.start_s
    if known is not None or layout.clock == "clip":
        return known or 0.0
    first_s, last_s = float(times.min()), float(times.max())
    duration_s = clip.duration_s if clip is not None else None
    if layout.clock == "either" and (duration_s is None or (first_s <= duration_s and last_s >= 0)):
        return 0.0
    start_s = clip.start_s if clip is not None else None
    if start_s is None:
        start_s = find_clip_start(path, clip.path if clip is not None else None)
    if start_s is not None:
        return start_s
    log.warning(
        "%s is on the clock of %s, from %.15g to %.15g s, and no times of frames (world_timestamps.csv) are beside it "
        "or the clip%s: its first sample is taken for the clip's start; ?start=SECONDS sets another",
        path, layout.tool, first_s, last_s, "" if duration_s is None else f", which lasts {duration_s:.4g} s",
    )  # fmt: skip
    return first_s


def _find_scale(
    path: Path, tool: str, size: tuple[int, int] | None, clip: ClipFacts | None, *, is_norm: bool
) -> tuple[float, float]:
    """Return the factors of x and y to the clip's pixels. size: of the picture that pixels are of, if it is known."""
    if is_norm:
        if clip is None:
            raise SourceError(f"{path} of {tool} is in fractions of the picture, whose size is unknown here")
        return clip.size
    if size is None or clip is None or size == clip.size:
        return 1.0, 1.0
    log.warning(
        "%s: its pixels are of a picture of %d x %d, and are scaled to the clip's %d x %d", path, *size, *clip.size
    )
    return clip.size[0] / size[0], clip.size[1] / size[1]
