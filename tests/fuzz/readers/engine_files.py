"""Readers of pictures, weights and notes of engines."""

from __future__ import annotations

import contextlib
import zipfile
from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np

from engines import ModelError
from engines.cache import find_cached, list_cached, note_path, read_verdict, write_note
from engines.models.checkpoint import read_checkpoint
from engines.pictures import PictureError, decode_jpeg, read_picture
from realtime.sources.pupil import messages as pupil
from tests.fuzz.readers.base import FOLDER, FuzzedReader, from_file

_KEY = {"graph": "encoder", "cpu": "x"}


def _read_note(path: Path) -> None:
    """Read a note of the engines' cache in each way in which it is read."""
    path.with_suffix(".onnx").write_bytes(b"graph")
    for use in (
        lambda: find_cached(path.with_suffix(".onnx"), _KEY),
        lambda: read_verdict(path.parent, "encoder", _KEY),
        lambda: list(list_cached(path.parent)),
    ):
        with contextlib.suppress(ModelError):
            use()


def _make_notes() -> Iterable[bytes]:
    file = FOLDER / "engines" / "encoder.onnx"
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(b"graph")
    write_note(file, "encoder", _KEY, gate={"iou": 0.99})
    yield note_path(file).read_bytes()


_TABLE = (
    b"\x80\x02}X\6\0\0\0weightctorch._utils\n_rebuild_tensor_v2\n((X\7\0\0\0storagectorch\nFloatStorage\nX\1\0\0\0000"
    b"X\3\0\0\0cpuK\4tQK\0K\4\x85K\1\x85\x89ccollections\nOrderedDict\n)RtRs."
)
"""The pickled table of a checkpoint with one tensor of four numbers."""


def _read_checkpoint(table: bytes) -> object:
    path = FOLDER / "weights.pth"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/data.pkl", table)
        archive.writestr("a/data/0", bytes(16))
    return read_checkpoint(path)


def _make_pictures() -> Iterable[bytes]:
    image = np.full((8, 16, 3), 90, np.uint8)
    for ending in (".jpg", ".png"):
        yield cv2.imencode(ending, image)[1].tobytes()
    yield cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])[1].tobytes()


def _read_picture(path: Path) -> None:
    """Read a picture as a file, and as what a device sends, whose size is checked first."""
    read_picture(path)
    data = path.read_bytes()
    size = pupil.read_jpeg_size(data)
    if size is not None and size[0] * size[1] <= pupil.MAX_PIXELS:
        decode_jpeg(data)


READERS = (
    FuzzedReader("picture", from_file("picture.jpg", _read_picture), (PictureError,), _make_pictures),
    FuzzedReader("checkpoint", _read_checkpoint, (ModelError,), lambda: [_TABLE]),
    FuzzedReader("engine note", from_file("engines/encoder.json", _read_note), (ModelError,), _make_notes),
)  # fmt: skip
