"""Reads picture files, the one place for all of them; chooses and crops pictures for comparing engines.

Names may hold any bytes: OpenCV crashes on one that is not UTF-8. Pictures are turned upright by their EXIF
orientation, as everything that shows them does.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.base import EngineError, Image, PromptError

PICTURES = (".jpg", ".jpeg", ".png")
JPEG_START = b"\xff\xd8"
_END = b"\xff\xd9"
_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
"""Ends the entropy-coded data of a JPEG; 00 belongs to a data byte, D0 to D7 are restarts."""
_WITHOUT_LENGTH = {0x01, *range(0xD0, 0xD9)}
_PROGRESSIVE = (b"\xff\xc2", b"\xff\xc6", b"\xff\xca", b"\xff\xce")
"""Frame headers of pictures whose every pixel needs the last scan."""
_BETWEEN_SCANS = {0xC4, 0xCC, 0xDA, 0xDB, 0xDC, 0xDD, 0xFE}
"""Tables, the next scan, the number of lines, and comments."""


class PictureError(EngineError):
    """A picture or video that cannot be read; names the file and the reason."""

    def __init__(self, file: Path, reason: str) -> None:
        super().__init__(f"{file} {reason}")
        self.reason = reason


def list_pictures(folder: Path, endings: Collection[str] = PICTURES) -> list[Path]:
    """List the pictures of a folder in natural order; raises OSError."""
    return sort_naturally(path for path in folder.iterdir() if path.suffix.lower() in endings)


def sort_naturally(paths: Iterable[Path]) -> list[Path]:
    """Sort by name with numbers by their value: frame2 before frame10."""
    return sorted(paths, key=lambda path: ([_natural_key(part) for part in path.parts], str(path)))


def _natural_key(name: str) -> list[tuple[bool, int, str]]:
    parts = re.split(r"([0-9]+)", name)  # every second one is a number
    return [(True, int(part), "") if at % 2 else (False, 0, part.lower()) for at, part in enumerate(parts)]


def read_picture(file: Path, flags: int = cv2.IMREAD_COLOR) -> NDArray[Any]:
    """Read a picture, with the default flags as (H, W, 3) BGR uint8; raises `PictureError`."""
    try:
        data = file.read_bytes()
        if data.startswith(JPEG_START):
            image = decode_jpeg(data, flags)
        else:
            image = cv2.imdecode(np.frombuffer(data, np.uint8), flags) if data else None
    except OSError as error:
        raise PictureError(file, f"cannot be read: {error.strerror or error}") from None
    except cv2.error as error:  # more pixels than OpenCV will decode
        raise PictureError(file, f"cannot be read: {error.err}") from None
    if image is None and data.startswith(JPEG_START):
        raise PictureError(file, "is damaged: its end is missing")
    if image is None:
        raise PictureError(file, "cannot be read; it is damaged, or its pixels are not 8 or 16 bit colours or greys")
    return image


def is_picture(file: Path) -> bool:
    """Check whether a file begins like a picture of a format that is read."""
    try:
        str(file).encode()
    except UnicodeEncodeError:
        with tempfile.NamedTemporaryFile() as head:
            head.write(file.read_bytes())
            head.flush()
            return bool(cv2.haveImageReader(head.name))
    return bool(cv2.haveImageReader(str(file)))


def decode_jpeg(data: bytes, flags: int = cv2.IMREAD_COLOR) -> NDArray[Any] | None:
    """Decode a JPEG; None for one that is damaged, or was cut and would be grey from there on.

    Whatever follows its end, such as the film of a motion photo, is ignored. A missing end marker, which some cameras
    leave out, is added where all pixels came.
    """
    if _has_end(data):
        return cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    image = None if any(sof in data for sof in _PROGRESSIVE) else _decode_padded(data, b"", flags)
    if image is None or np.any(image[-8:, -8:] != 128):
        return image
    # Blocks that did not come are middle grey. A picture that is grey there does not depend on the bytes behind it.
    other = _decode_padded(data, b"\x35\xc6\x9a\x71" * 64, flags)
    return image if other is not None and np.array_equal(image, other) else None


def is_whole_jpeg(data: bytes) -> bool:
    """Check whether all pixels of a JPEG came, where its end marker may be missing."""
    return _has_end(data) or decode_jpeg(data) is not None


def _decode_padded(data: bytes, padding: bytes, flags: int) -> NDArray[Any] | None:
    return cv2.imdecode(np.frombuffer(data + padding + _END, np.uint8), flags)


def add_jpeg_end(data: bytes) -> bytes:
    """Return a JPEG with its end marker, which some cameras leave out."""
    return data if _has_end(data) else data + _END


def _has_end(data: bytes) -> bool:
    """Find the end marker of the picture itself, behind its scans (ITU-T T.81, annex B)."""
    if data.endswith(_END):
        return True
    at, scans = 2, 0
    while at + 2 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xD9 or (scans and marker not in _BETWEEN_SCANS):
            return marker == 0xD9
        if marker == 0xFF:  # a fill byte
            at += 1
            continue
        at += 2 if marker in _WITHOUT_LENGTH else 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        if marker == 0xDA:
            scans += 1
            found = _MARKER.search(data, at)
            at = found.start() if found else len(data)
    return False


def read_pictures(folder: Path, limit: int = 48) -> list[Image]:
    """Read at most `limit` pictures, evenly spaced, from the images below a folder."""
    if not folder.is_dir():
        raise PromptError(f"{folder} does not exist; give a folder of pictures or a video")
    files = sort_naturally(file for file in folder.rglob("*") if file.suffix.lower() in PICTURES)
    found = []
    for file in sample_evenly(files, limit):
        with suppress(PictureError):
            found.append(read_picture(file))
    if not found:
        raise PromptError(f"no picture could be read from {folder}; expected .jpg or .png files")
    return found


T = TypeVar("T")


def sample_evenly(items: Sequence[T], limit: int) -> list[T]:
    """Return at most `limit` of the items, evenly spaced."""
    count = min(limit, len(items))
    return [items[index * len(items) // count] for index in range(count)]


def resize_and_crop(picture: Image, frame_size: tuple[int, int]) -> Image:
    """Crop the middle of a picture to the aspect ratio of (width, height), and resize it."""
    width, height = frame_size
    rows, columns = picture.shape[:2]
    tall = min(rows, max(1, columns * height // width))
    wide = min(columns, max(1, rows * width // height))
    top, left = (rows - tall) // 2, (columns - wide) // 2
    part = picture[top : top + tall, left : left + wide]
    return np.asarray(cv2.resize(part, frame_size, interpolation=cv2.INTER_AREA), np.uint8)
