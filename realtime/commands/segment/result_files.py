"""Writes the result of one picture, and recognizes a finished one, so that an interrupted run can go on.

The PNG holds a text with the request, the picture's SHA-256 and the number of masks; a result is finished where that
agrees and both files are whole.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2

from engines import Image
from realtime.commands.export.coco_json import write_json
from realtime.errors import RunFailed
from realtime.files import write_atomically
from realtime.media.png_text import add_png_text, is_whole_png, read_png_text

KEYWORD = "gazecast"


@dataclass(frozen=True, slots=True)
class ResultFiles:
    """Holds the files of a picture's result. json: None where there is none."""

    png: Path
    json: Path | None = None

    @property
    def paths(self) -> tuple[Path, ...]:
        """Return all files."""
        return (self.png,) if self.json is None else (self.json, self.png)

    def is_ours(self) -> bool:
        """Check whether the PNG is a result of this command."""
        return self.png.suffix.lower() == ".png" and read_png_text(self.png, KEYWORD) is not None

    def count_finished(self, request: Mapping[str, Any], picture: Path) -> int | None:
        """Return the number of masks of a finished result of the same request; None where it must be computed."""
        made = self._read_mark()
        if made is None or not is_whole_png(self.png) or not (self.json is None or _is_json(self.json)):
            return None
        same = made.get("request") == request and made.get("picture") == hash_file(picture)
        return int(made.get("masks", 0)) if same else None

    def find_obstacle(self, request: Mapping[str, Any], picture: Path) -> Path | None:
        """Return a file that is not a part of this result, whole or not, and must not be replaced unasked."""
        made = self._read_mark()
        if made is not None and made.get("request") == request and made.get("picture") == hash_file(picture):
            return None
        if is_whole_png(self.png) or (made is not None and self.png.exists()):
            return self.png
        return self.json if self.json is not None and _is_json(self.json) else None

    def write(self, request: Mapping[str, Any], picture: Path, masks: int, image: Image, document: Any) -> None:
        """Write the PNG, then the JSON, so that a program that waits for the JSON finds both; raises `RunFailed`."""
        ok, png = cv2.imencode(".png", image)
        if not ok:
            raise RunFailed(f"{self.png} could not be encoded as PNG")
        if self.json is not None:
            self.json.unlink(missing_ok=True)  # an old one would look like a part of this result
        mark = {"request": request, "picture": hash_file(picture), "masks": masks}
        write_atomically(self.png, add_png_text(png.tobytes(), KEYWORD, json.dumps(mark)))
        if self.json is not None:
            write_json(self.json, document)

    def _read_mark(self) -> dict[str, Any] | None:
        text = read_png_text(self.png, KEYWORD)
        try:
            made = json.loads(text) if text is not None else None
        except ValueError:
            return None
        return made if isinstance(made, dict) else None


def hash_file(file: Path) -> str:
    """Compute a file's SHA-256."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _is_json(file: Path) -> bool:
    """Check whether a file is there and whole."""
    try:
        json.loads(file.read_bytes())
    except (OSError, ValueError):
        return False
    return True
