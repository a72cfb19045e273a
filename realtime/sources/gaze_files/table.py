"""Reads the text of gaze tables: encodings, separators, preambles, and numbers as spreadsheets write them."""

from __future__ import annotations

import csv
import gzip
import io
import math
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from calibration.text import decode_text
from realtime.errors import SourceError
from realtime.sources.gaze_files.layouts import FoundLayout, explain_unusable, find_layout, normalize_name
from realtime.sources.gaze_files.line_formats import GazeRows, NumberedRow, read_eyelink_text, read_json_lines

HEADER = "timestamp,x,y,confidence"
TOOLS = "a table of Pupil Player, Pupil Cloud, Tobii, Gazepoint, SMI BeGaze, SR Research or iMotions"
MAX_BYTES = 2_000_000_000
MAX_PREAMBLE_LINES = 500
_PIECE_BYTES = 1 << 20
_GZIP, _ZIP = b"\x1f\x8b", b"PK\x03\x04"
_MISSING = frozenset(("", "nan", "na", "n/a", "#n/a", "-", ".", "none", "null", "-nan", "nan(ind)", "-nan(ind)"))
_GROUPED = re.compile(r"[+-]?\d{1,3}(?:[.,' \u00a0\u202f]\d{3})+(?:[.,]\d+)?", re.ASCII)
MAX_VALUE = 1e30


def read_rows(path: Path) -> GazeRows:
    """Read a table in any usual encoding and with any separator; raises `SourceError` with what is expected.

    Rows are read once, while they are taken, and raise as well.
    """
    try:
        text = decode_text(_read_bytes(path)).rstrip("\0")  # a program that crashed leaves these
        start = text.lstrip()[:2]
        if start == "**":
            return read_eyelink_text(path, text)
        return read_json_lines(path, text) if start[:1] == "{" else _read_table(path, text)
    except (OSError, EOFError, zlib.error, UnicodeDecodeError, csv.Error) as error:
        raise _describe_unreadable(path, error) from error


def _describe_unreadable(path: Path, error: Exception) -> SourceError:
    reason = "it is not text" if isinstance(error, UnicodeDecodeError) else getattr(error, "strerror", None) or error
    return SourceError(f"cannot read the gaze trace {path}: {reason}; expected a CSV with {HEADER}")


def _read_bytes(path: Path) -> bytes:
    with path.open("rb") as file:
        start = file.read(4)
        file.seek(0)
        stream = gzip.GzipFile(fileobj=file) if start[:2] == _GZIP else file
        # in pieces, as reading as much as may come at once would make room for it
        pieces = islice(iter(lambda: stream.read(_PIECE_BYTES), b""), MAX_BYTES // _PIECE_BYTES + 1)
        data = b"".join(pieces)
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
    return GazeRows(header.found, _iterate_rows(path, header, _list_columns(header.found), stream))


def _iterate_rows(path: Path, header: _HeaderLine, used: set[str], stream: io.StringIO) -> Iterator[NumberedRow]:
    columns = [(name, column) for name, column in {n: c for c, n in reversed([*enumerate(header.names)])}.items()
               if name in used]  # fmt: skip
    has_decimal_commas = header.separator != ","
    reader = csv.reader(stream, delimiter=header.separator, skipinitialspace=True)
    try:
        for cells in reader:
            if not "".join(cells).strip() or cells[0].startswith("##"):
                continue
            if len(cells) < len(header.names):
                cells += [""] * (len(header.names) - len(cells))
            named = {name: cells[column].strip() for name, column in columns}
            if has_decimal_commas:
                named = {name: _to_point(cell) if "," in cell else cell for name, cell in named.items()}
            yield NumberedRow(header.number + reader.line_num, named)
    except csv.Error as error:
        raise _describe_unreadable(path, error) from error


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
        names = [
            normalize_name(name) for name in next(csv.reader([text], delimiter=separator, skipinitialspace=True), [])
        ]
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


def _to_point(cell: str) -> str:
    """Return a number with a decimal point, which a table that is not separated by commas may write as a comma."""
    return cell.replace(",", ".") if cell.count(",") == 1 and "." not in cell else cell


def parse_number(text: str) -> float:
    """Parse a cell: NaN where it is missing. Raises `ValueError` with what is wrong."""
    try:
        value = float(text)
    except ValueError:
        if text.lower() in _MISSING:
            return math.nan
        if _GROUPED.fullmatch(text):
            raise ValueError("a number without separators of thousands, and with a decimal point") from None
        raise ValueError("a number") from None
    if abs(value) > MAX_VALUE or "_" in text or not text.isascii():  # as Python alone writes them
        raise ValueError("a number")
    return value
