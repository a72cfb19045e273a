"""Checks that a calibration's files can be written, and later writes and prints them."""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

from calibration.record import CalibrationRecord, save_record
from realtime.commands.calibrate.report import ReportPage
from realtime.errors import RunFailed, SettingsError
from realtime.infra.output import print_line


def format_now() -> str:
    """Return the time in UTC as ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def report_stem(out: Path, stem: Path | None) -> Path:
    """Return the path of the report without its suffix; the default is beside `out`."""
    return stem or out.with_name(out.stem + "-report")


def check_outputs(out: Path, stem: Path | None, *more: Path | None) -> None:
    """Raise `SettingsError` unless `out`, its report and `more` can be written; creates no file."""
    report = report_stem(out, stem)
    for path in (out, report.with_name(report.name + ".png"), report.with_name(report.name + ".html"), *more):
        if path is not None:
            _check_writable(path.resolve())


def _check_writable(path: Path) -> None:
    if path.is_dir():
        raise SettingsError(f"{path} is a folder; name a file to write")
    folder = next(parent for parent in path.parents if parent.exists())
    if not folder.is_dir():
        raise SettingsError(f"cannot write {path}: {folder} is no folder")
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise SettingsError(f"cannot write {path}: {folder}: {error.strerror or error}") from None
    if path.exists() and not os.access(path, os.W_OK):
        raise SettingsError(f"cannot write {path}: it is write-protected")


def write_outputs(
    args: argparse.Namespace, out: Path, page: ReportPage, record: CalibrationRecord, result: Mapping[str, Any], *,
    width: int, table: Iterable[str] = (), files: Mapping[Path, str] = MappingProxyType({}),
) -> None:  # fmt: skip
    """Write the report and, unless refused, the record and `files`; print the result.

    result: printed with `--json`. width: of the names of the facts in the text. table: lines that follow the facts.
    Raises `RunFailed` if the result is refused.
    """
    written = [str(path) for path in page.save(report_stem(out, args.report))]
    if page.verdict != "refuse":
        save_record(out, record)
        for path, text in files.items():
            path.write_text(text, encoding="utf-8")
        written = [str(out), *written, *map(str, files)]
    if args.json:
        print_line(json.dumps({**result, "written": written}))
    else:
        print_line(page.headline)
        for name, value in page.facts:
            print_line(f"  {name:{width}} {value}")
        print_line(*table, f"wrote {', '.join(written)}")
        for finding in page.findings:
            print_line(f"{finding.level:8} {finding.message} {finding.advice}")
    if page.verdict == "refuse":
        raise RunFailed(f"no calibration was written: {page.findings[0].message} {page.findings[0].advice}")
