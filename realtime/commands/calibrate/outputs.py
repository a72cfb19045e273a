"""Checks that the output files can be written before a calibration starts."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from realtime.errors import SettingsError


def report_stem(out: Path, stem: Path | None) -> Path:
    """Return the path of the report without its suffix; the default is beside `out`."""
    return stem or out.with_name(out.stem + "-report")


def check_outputs(out: Path, stem: Path | None, *more: Path | None) -> None:
    """Raise `SettingsError` unless `out`, its report and `more` can be written; creates no file."""
    report = report_stem(out, stem)
    for path in (out, report.with_name(report.name + ".png"), report.with_name(report.name + ".html"), *more):
        if path is not None:
            _check_writable(path)


def _check_writable(path: Path) -> None:
    if path.is_dir():
        raise SettingsError(f"{path} is a folder; name a file to write")
    folder = next(parent for parent in (path.absolute().parent, *path.absolute().parents) if parent.exists())
    if not folder.is_dir():
        raise SettingsError(f"cannot write {path}: {folder} is no folder")
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise SettingsError(f"cannot write {path}: {folder}: {error.strerror or error}") from None
    if path.exists() and not os.access(path, os.W_OK):
        raise SettingsError(f"cannot write {path}: it is write-protected")
