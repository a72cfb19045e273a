"""Reads the text of gaze tables: encodings, separators, preambles, and numbers as spreadsheets write them."""

from __future__ import annotations

import csv
import gzip
import io
import json
import math
import re
import zlib
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from calibration.text import decode_text
from realtime.errors import SourceError
from realtime.sources.gaze_files.layouts import FoundLayout, Row, explain_unusable, find_layout, normalize_name

HEADER = "timestamp,x,y,confidence"
TOOLS = "a table of Pupil Player, Pupil Cloud, Tobii, Gazepoint, SMI BeGaze, SR Research or iMotions"
MAX_BYTES = 2_000_000_000
MAX_PREAMBLE_LINES = 500
_GZIP, _ZIP = b"\x1f\x8b", b"PK\x03\x04"
_MISSING = frozenset(("", "nan", "na", "n/a", "#n/a", "-", ".", "none", "null", "-nan", "nan(ind)", "-nan(ind)"))
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.ASCII)
_GROUPED = re.compile(r"[+-]?\d{1,3}(?:[.,' \u00a0\u202f]\d{3})+(?:[.,]\d+)?", re.ASCII)
MAX_VALUE = 1e30


@dataclass(frozen=True, slots=True)
class NumberedRow:
    """Holds the cells of a row that the layout uses, and its number as a text editor counts."""

    number: int
    cells: Row


@dataclass(frozen=True, slots=True)
class GazeRows:
    """Holds a table's layout and rows. start_s: of the clip on the table's clock, where the table itself says it."""

    found: FoundLayout
    rows: list[NumberedRow]
    start_s: float | None = None


def read_rows(path: Path) -> GazeRows:
    """Read a table in any usual encoding and with any separator; raises `SourceError` with what is expected."""
    try:
        text = decode_text(_read_bytes(path))
        return _read_json_lines(path, text) if text.lstrip()[:1] == "{" else _read_table(path, text)
    except (OSError, EOFError, zlib.error, UnicodeDecodeError, csv.Error) as error:
        raise SourceError(f"cannot read the gaze trace {path}: {error}; expected a CSV with {HEADER}") from error


def _read_bytes(path: Path) -> bytes:
    with path.open("rb") as file:
        start = file.read(4)
        file.seek(0)
        data = (gzip.GzipFile(fileobj=file) if start[:2] == _GZIP else file).read(MAX_BYTES + 1)
    if start == _ZIP:
        raise SourceError(f"{path} is a workbook or an archive; save the sheet as CSV, or unpack it")
    if len(data) > MAX_BYTES:
        raise SourceError(f"{path} is larger than {MAX_BYTES / 1e9:g} GB; cut it to the length of the clip")
    return data


def _read_table(path: Path, text: str) -> GazeRows:
    stream = io.StringIO(text, newline=None)  # any line ends
    header = _find_header(stream)
    if header.found is None:
        expected = explain_unusable(header.names) or f"expected the header {HEADER}, or {TOOLS}"
        raise SourceError(f"{path} line {header.number} is {header.line!r:.80}; {expected}")
    used, separator = _list_columns(header.found), header.separator
    columns = {name: column for column, name in reversed(list(enumerate(header.names))) if name in used}
    rows: list[NumberedRow] = []
    reader = csv.reader(stream, delimiter=separator)
    for cells in reader:
        if any(map(str.strip, cells)) and not cells[0].startswith("##"):
            cells += [""] * (len(header.names) - len(cells))
            named = {name: _to_point(cells[column].strip(), separator) for name, column in columns.items()}
            rows.append(NumberedRow(header.number + reader.line_num, named))
    _check_one_recording(path, header.found, rows)
    return GazeRows(header.found, rows)


@dataclass(frozen=True, slots=True)
class _HeaderLine:
    """Holds a header and its place; `found` is None where no program is known that writes it."""

    number: int
    line: str
    separator: str
    names: list[str]
    found: FoundLayout | None = None


def _find_header(stream: io.StringIO) -> _HeaderLine:
    """Find the header behind a preamble, and leave the stream at the first row; or the line that looks most like it."""
    likely = _HeaderLine(1, "", ",", [])
    for number, line in enumerate(islice(stream, MAX_PREAMBLE_LINES), start=1):
        text = line.strip().lstrip("#").strip()
        if not text or text.lower().startswith("sep="):
            continue
        separator = max(",;\t|", key=text.count)
        names = [normalize_name(name) for name in next(csv.reader([text], delimiter=separator), [])]
        found = find_layout(names)
        header = _HeaderLine(number, text, separator, names, found)
        if found is not None:
            return header
        is_first = not likely.names and not line.lstrip().startswith("#")
        if is_first or (explain_unusable(names) and not explain_unusable(likely.names)):
            likely = header
    return likely


def _list_columns(found: FoundLayout) -> set[str]:
    layout = found.layout
    eyes = {name for eye in found.eyes for name in eye}
    return {found.time, *eyes, *(found.size or ()), *layout.reads, *layout.one_of}


def _check_one_recording(path: Path, found: FoundLayout, rows: list[NumberedRow]) -> None:
    for name in found.layout.one_of:
        values = dict.fromkeys(
            row.cells[name] for row in rows if row.cells.get(name) and found.layout.is_gaze(row.cells)
        )
        if len(values) > 1:
            raise SourceError(
                f"{path} holds {len(values)} recordings or parts: {name} is {', '.join(list(values)[:4])!r:.60}; keep "
                "the rows of the one that the clip shows"
            )


def _to_point(cell: str, separator: str) -> str:
    """Return a number with a decimal point, which a table that is not separated by commas may write as a comma."""
    return cell.replace(",", ".") if separator != "," and cell.count(",") == 1 and "." not in cell else cell


def _read_json_lines(path: Path, text: str) -> GazeRows:
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
            start_s = (fields["ts"] - fields["vts"]) / 1e6
    if found is None or not rows:
        raise SourceError(
            f"{path} holds no gaze of Tobii Pro Glasses; expected its gazedata.gz, or a CSV with {HEADER}"
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


def parse_number(text: str) -> float:
    """Parse a cell: NaN where it is missing. Raises `ValueError` with what is wrong."""
    if text.lower() in _MISSING:
        return math.nan
    if _GROUPED.fullmatch(text) and not _NUMBER.fullmatch(text):
        raise ValueError("a number without separators of thousands, and with a decimal point")
    if not _NUMBER.fullmatch(text.lower()) or abs(value := float(text)) > MAX_VALUE:
        raise ValueError("a number")
    return value
