"""Finds the pictures that are named on the command line, and the files that their results go to."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from engines import Image
from engines.pictures import PictureError, is_picture, list_pictures, read_picture
from realtime.commands.segment.request import PictureRequest
from realtime.commands.segment.result_files import ResultFiles
from realtime.errors import RunFailed, SettingsError
from realtime.infra.progress import TerminalProgress

ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp")
"""Of a folder's files that are taken for pictures."""


def list_files(names: Sequence[Path]) -> list[Path]:
    """Replace folders by their pictures, without results of this command; raises `SettingsError` for none."""
    files: list[Path] = []
    for name in names:
        if not name.is_dir():
            files.append(name)
            continue
        try:
            found = list_pictures(name, ENDINGS)
        except OSError as error:
            raise SettingsError(f"{name} cannot be read: {error.strerror or error}") from None
        found = [file for file in found if not (file.is_dir() or ResultFiles(file).is_ours())]
        if not found:
            raise SettingsError(f"{name} is a folder without pictures; expected files *.jpg, *.png, ...")
        files += found
    return files


def select_pictures(files: Sequence[Path], terminal: TerminalProgress) -> list[Path]:
    """Leave out and report what is no picture; raises `SettingsError` where none is one."""
    reasons = {file: reason for file in files if (reason := _find_flaw(file))}
    if len(reasons) == len(set(files)):
        raise SettingsError("; ".join(reasons.values()))
    for reason in reasons.values():
        terminal.show_line(f"gazecast: {reason}")
    return [file for file in files if file not in reasons]


def _find_flaw(file: Path) -> str:
    """Say why a file cannot be a picture; empty if it can."""
    if not file.is_file():
        return f"{file} is no file" if file.exists() else f"there is no picture {file}"
    if not os.access(file, os.R_OK):
        return f"{file} cannot be read: no permission"
    if not is_picture(file):
        return f"{file} is no picture that can be read; expected JPEG, PNG, WebP, TIFF or BMP"
    return ""


def choose_targets(files: Sequence[Path], out: Path, request: PictureRequest) -> dict[Path, ResultFiles]:
    """Return each picture's result files; raises `SettingsError` for files that cannot be written."""
    stems = [file.stem for file in files]
    for file in files:
        if stems.count(file.stem) > 1:
            raise SettingsError(f"two pictures are called {file.stem}; give each folder's pictures their own --out")
    has_json = request.kind != "edges"
    targets = {
        file: ResultFiles(
            out / f"{file.stem}{request.suffix}.png", out / f"{file.stem}{request.suffix}.json" if has_json else None
        )
        for file in files
    }
    inputs = {file.resolve() for file in files}
    for path in (path for target in targets.values() for path in target.paths):
        if path.resolve() in inputs:
            raise SettingsError(f"{path} would be written over the picture itself; choose another --out")
        if path.resolve().is_dir():
            raise SettingsError(f"{path} is a folder; choose another --out")
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out):
            pass
    except OSError as error:
        raise SettingsError(f"cannot write into {out}: {error.strerror or error}; choose another --out") from None
    return targets


def load_picture(file: Path) -> Image:
    """Read a picture; raises `RunFailed`."""
    try:
        return read_picture(file)
    except PictureError as error:
        raise RunFailed(str(error)) from None
