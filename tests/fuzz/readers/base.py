"""A reader of bytes from outside, and what the readers share."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from calibration.camera import PinholeCamera
from realtime.recording.encryption import make_identity

SIZE = (1280, 720)
_MEMORY = Path("/dev/shm")  # opening a new file on a disk takes fifty times as long
_folder = tempfile.TemporaryDirectory(prefix="fuzz-", dir=_MEMORY if os.access(_MEMORY, os.W_OK) else None)
FOLDER = Path(_folder.name)
IDENTITY = make_identity(FOLDER / "identity.txt")


@dataclass(frozen=True, slots=True)
class FuzzedReader:
    """A reader of bytes. errors: its own; another one is a defect. make_seeds: makes valid inputs."""

    name: str
    read: Callable[[bytes], object]
    errors: tuple[type[Exception], ...]
    make_seeds: Callable[[], Iterable[bytes]]

    def try_read(self, data: bytes) -> bool:
        """Whether the bytes are read; False for an error of the reader's own, others are raised."""
        try:
            self.read(data)
        except self.errors:
            return False
        return True


def from_file(name: str, read: Callable[[Path], object]) -> Callable[[bytes], object]:
    """Make a reader of bytes from one of a file."""

    path = FOLDER / name
    path.parent.mkdir(exist_ok=True)

    def write_and_read(data: bytes) -> object:
        path.write_bytes(data)
        return read(path)

    return write_and_read


def to_text(data: bytes) -> str:
    return data.decode("utf-8", "surrogatepass") if _is_utf8(data) else data.decode("latin-1")


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return False
    return True


def dump_json(*values: object) -> list[bytes]:
    return [json.dumps(value).encode() for value in values]


MATRIX = [[900, 0, 640], [0, 900, 360], [0, 0, 1]]
CAMERA = PinholeCamera.from_matrix(SIZE, np.array(MATRIX, np.float64), [0.0] * 5)
