"""Reads gaze traces from CSV files, and plays them in sync with their clip."""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass
from pathlib import Path

from realtime.errors import SourceError
from realtime.sources.synced_gaze import SyncedGaze
from realtime.sources.video_file import PlaybackClock
from realtime.types import GazeSample

HEADER = "timestamp,x,y,confidence"


@dataclass(frozen=True, slots=True)
class TracePoint:
    """Holds one row: seconds on the clip's clock (0 is its first frame), frame pixels with the origin top left."""

    timestamp: float
    x: float
    y: float
    confidence: float


def read_trace(path: Path) -> tuple[TracePoint, ...]:
    """Read a CSV with the header `timestamp,x,y,confidence` (confidence may be missing), sorted by time.

    A row without x or y, or with NaN there, is a blink: confidence 0 at the previous position. Raises `SourceError`
    that names the first invalid line.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.reader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise SourceError(f"cannot read the gaze trace {path}: {error}; expected a CSV with {HEADER}") from error
    names = [name.strip().lower() for name in rows[0]] if rows else []
    if not {"timestamp", "x", "y"} <= set(names):
        raise SourceError(f"{path} line 1 is {','.join(names)!r:.80}; expected the header {HEADER}")
    read = [
        _read_row(path, number, dict(zip(names, row + [""] * len(names), strict=False)))
        for number, row in enumerate(rows[1:], start=2)
        if any(cell.strip() for cell in row)
    ]
    points: list[TracePoint] = []
    x, y = next(((x, y) for _, x, y, _ in read if not math.isnan(x + y)), (math.nan, math.nan))
    if math.isnan(x + y):
        raise SourceError(f"{path} has no row with a gaze point; expected rows of {HEADER} in pixels")
    for timestamp, row_x, row_y, confidence in sorted(read, key=lambda row: row[0]):
        is_open = not math.isnan(row_x + row_y)
        x, y = (row_x, row_y) if is_open else (x, y)
        points.append(TracePoint(timestamp, x, y, confidence if is_open else 0.0))
    return tuple(points)


def _read_row(path: Path, number: int, row: dict[str, str]) -> tuple[float, float, float, float]:
    """Return (timestamp, x, y, confidence), x and y NaN in a blink."""
    values = []
    for name, missing in (("timestamp", None), ("x", math.nan), ("y", math.nan), ("confidence", 0.0)):
        text = row.get(name, "1").strip()  # confidence 1 where the trace has no such column
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
    return values[0], values[1], values[2], values[3]


class TraceGaze(SyncedGaze):
    """A `GazeSource` that plays a trace on the clock of a clip, and repeats it with the clip."""

    def __init__(self, path: Path, clip: PlaybackClock) -> None:
        """Raises `SourceError` unless every row of the trace is valid."""
        super().__init__(clip, "waiting for the clip to begin")
        self._points = read_trace(path)
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
