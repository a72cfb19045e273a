"""Reads gaze from texts that are no tables: JSON lines of Tobii Pro Glasses, and EyeLink's ASC."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from realtime.errors import SourceError
from realtime.sources.gaze_files.layouts import FoundLayout, Row, find_layout

_SAMPLE = re.compile(r"\d+(\.\d+)?\s")
_DISPLAY = re.compile(r"MSG\s+\S+\s+DISPLAY_COORDS\s*=?\s+0\s+0\s+(\d{1,9})\s+(\d{1,9})")


@dataclass(frozen=True, slots=True)
class NumberedRow:
    """Holds the cells of a row that the layout uses, and its number as a text editor counts."""

    number: int
    cells: Row


@dataclass(frozen=True, slots=True)
class GazeRows:
    """Holds a table's layout and rows. start_s: of the clip on the table's clock, where the table itself says it."""

    found: FoundLayout
    rows: Iterable[NumberedRow]
    start_s: float | None = None


def read_json_lines(path: Path, text: str) -> GazeRows:
    """Read the gaze of a recording of Tobii Pro Glasses, one JSON object a line; the cut last line is left out."""
    rows: list[NumberedRow] = []
    start_s = None
    found = find_layout(("gaze timestamp", "gaze2d x", "gaze2d y"))
    for number, line in enumerate(text.splitlines(), start=1):
        fields = _parse_object(line)
        if fields.get("type") == "gaze" and isinstance(fields.get("data"), dict):
            point = fields["data"].get("gaze2d")
            rows.append(NumberedRow(number, _to_cells("gaze timestamp", fields.get("timestamp"), "gaze2d", point)))
        elif isinstance(fields.get("gp"), list):
            found = find_layout(("ts", "gp x", "gp y"))
            cells = _to_cells("ts", fields.get("ts"), "gp", fields["gp"])
            rows.append(NumberedRow(number, {**cells, "s": str(fields.get("s", 0))}))
        elif start_s is None and all(isinstance(fields.get(name), int) for name in ("ts", "vts")):
            with suppress(OverflowError):
                start_s = (fields["ts"] - fields["vts"]) / 1e6
    if found is None or not rows:
        raise SourceError(
            f"{path} holds no gaze of Tobii Pro Glasses; expected its gazedata.gz, or a CSV with timestamp,x,y"
        )
    return GazeRows(found, rows, start_s)


def _parse_object(line: str) -> dict[str, Any]:
    try:
        fields = json.loads(line) if line.strip() else {}
    except (ValueError, RecursionError):
        return {}
    return fields if isinstance(fields, dict) else {}


def _to_cells(time: str, at: object, name: str, point: object) -> dict[str, str]:
    x, y = point if isinstance(point, list) and len(point) == 2 else ("", "")
    return {time: str(at), f"{name} x": str(x), f"{name} y": str(y)}


def read_eyelink_text(path: Path, text: str) -> GazeRows:
    """Read the samples of an ASC of SR Research's edf2asc, whose header says which eyes, and the screen's size."""
    eyes: list[str] = []
    display: dict[str, str] = {}
    rows: list[NumberedRow] = []
    for number, line in enumerate(text.splitlines(), start=1):
        if _SAMPLE.match(line) and eyes:
            time, *cells = line.split()
            # x, y and pupil of each eye
            named = {f"{eye}_gaze_{axis}": cell for at, eye in enumerate(eyes)
                     for axis, cell in zip("xy", cells[3 * at : 3 * at + 2], strict=False)}  # fmt: skip
            rows.append(NumberedRow(number, {"timestamp": time, **display, **named}))
        elif line.startswith("SAMPLES"):
            words = line.lower().split()
            eyes = [eye for eye in ("left", "right") if eye in words] if "gaze" in words else []
        elif found := _DISPLAY.match(line):
            display = {"display width": str(int(found[1]) + 1), "display height": str(int(found[2]) + 1)}
    found_layout = find_layout(dict.fromkeys(name for row in rows for name in row.cells))
    if found_layout is None:
        raise SourceError(f"{path} is an EyeLink ASC without samples of gaze; convert it with edf2asc -s or -sg")
    return GazeRows(found_layout, rows)
