"""Gaze from a recorded trace, played along with the clip that it belongs to."""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass
from pathlib import Path

from realtime.sources.base import SourceError

HEADER = "timestamp,x,y,confidence"


@dataclass(frozen=True, slots=True)
class TracePoint:
    """One row: seconds on the clip's clock (0 is its first frame), frame pixels with the origin top left."""

    timestamp: float
    x: float
    y: float
    confidence: float


def read_trace(path: Path) -> tuple[TracePoint, ...]:
    """Read a CSV with the header `timestamp,x,y,confidence` (confidence may be missing), sorted by time.

    A row without x or y, or with NaN there, is a blink: confidence 0, where the eye was before. `SourceError` names
    the first line that is neither.
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
        (number, *_read_row(path, number, dict(zip(names, row, strict=False))))
        for number, row in enumerate(rows[1:], start=2)
        if any(cell.strip() for cell in row)
    ]
    points: list[TracePoint] = []
    x, y = next(((x, y) for _, _, x, y, _ in read if not math.isnan(x + y)), (math.nan, math.nan))
    if math.isnan(x + y):
        raise SourceError(f"{path} has no row with a gaze point; expected rows of {HEADER} in pixels")
    for _, timestamp, row_x, row_y, confidence in sorted(read, key=lambda row: row[1]):
        seen = not math.isnan(row_x + row_y)
        x, y = (row_x, row_y) if seen else (x, y)
        points.append(TracePoint(timestamp, x, y, confidence if seen else 0.0))
    return tuple(points)


def _read_row(path: Path, number: int, row: dict[str, str]) -> tuple[float, float, float, float]:
    """(timestamp, x, y, confidence), x and y NaN in a blink."""
    values = []
    for name, blank in (("timestamp", None), ("x", math.nan), ("y", math.nan), ("confidence", None)):
        text = row.get(name, "").strip() if name != "confidence" else row.get(name, "1").strip()
        try:
            value = blank if blank is not None and not text else float(text)
        except ValueError:
            value = math.inf
        usable = math.isfinite(value) or (math.isnan(value) and name != "timestamp")
        if name == "confidence" and math.isnan(value):
            value = 0.0
        if not usable or (name == "confidence" and not 0 <= value <= 1):
            wanted = "0 to 1" if name == "confidence" else "a number"
            raise SourceError(f"{path} line {number}: {name} is {text!r:.40}; expected {wanted}")
        values.append(value)
    return values[0], values[1], values[2], values[3]
