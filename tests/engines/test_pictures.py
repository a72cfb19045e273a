"""Picture files as people have them: odd names, natural order, rotation, film behind a JPEG, a missing end."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from engines import Image
from engines.pictures import PictureError, decode_jpeg, is_picture, list_pictures, read_picture


@pytest.fixture
def picture() -> Image:
    noise = np.random.default_rng(3).integers(0, 255, (120, 160, 3)).astype(np.uint8)
    return np.asarray(cv2.GaussianBlur(noise, (9, 9), 4), np.uint8)


def jpeg(image: NDArray[np.uint8], *options: int) -> bytes:
    return cv2.imencode(".jpg", image, options)[1].tobytes()


def test_a_name_that_is_not_utf8_is_read(tmp_path: Path, picture: Image) -> None:
    file = tmp_path / os.fsdecode(b"caf\xe9.png")
    file.write_bytes(cv2.imencode(".png", picture)[1].tobytes())
    assert is_picture(file)
    assert np.array_equal(read_picture(file), picture)


def test_folders_are_in_natural_order(tmp_path: Path) -> None:
    names = ["frame1.png", "Frame2.PNG", "frame9.png", "frame10.png", "frame10b.png", "frame100.jpg", "other.jpeg"]
    for name in sorted(names):
        (tmp_path / name).touch()
    (tmp_path / "notes.txt").touch()
    assert [path.name for path in list_pictures(tmp_path)] == names


def test_a_photo_is_turned_upright_by_its_exif(tmp_path: Path, picture: Image) -> None:
    entry = struct.pack("<HHIHH", 0x0112, 3, 1, 6, 0)  # orientation 6: turn it by 90 degrees
    exif = b"Exif\0\0II*\0" + struct.pack("<IH", 8, 1) + entry + bytes(4)
    data = jpeg(picture)
    (tmp_path / "photo.jpg").write_bytes(data[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + data[2:])
    assert read_picture(tmp_path / "photo.jpg").shape == (160, 120, 3)


@pytest.mark.parametrize("options", [(), (cv2.IMWRITE_JPEG_PROGRESSIVE, 1), (cv2.IMWRITE_JPEG_RST_INTERVAL, 4)])
def test_a_jpeg_with_film_behind_it_is_read_and_a_cut_one_refused(
    tmp_path: Path, picture: Image, options: tuple[int, ...]
) -> None:
    data, film = jpeg(picture, *options), b"\0\0\0\x18ftypmp42" + bytes(range(256)) * 8 + b"\xff\xda\0\x08" + bytes(90)
    file = tmp_path / "motion.jpg"
    for content in (data, data + film, data + bytes(512)):
        file.write_bytes(content)
        assert np.array_equal(read_picture(file), cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR))
    for content in (data[: len(data) // 2], data[: len(data) * 9 // 10], data[:300]):
        file.write_bytes(content)
        with pytest.raises(PictureError, match="its end is missing"):
            read_picture(file)


@pytest.mark.parametrize("grey", [None, 128, 90])
def test_a_jpeg_without_end_marker_is_read_where_all_pixels_came(picture: Image, grey: int | None) -> None:
    data = jpeg(picture if grey is None else np.full_like(picture, grey))
    whole = decode_jpeg(data)
    assert whole is not None
    for without in (data[:-2], data[:-1], data[:-2] + bytes(300)):
        found = decode_jpeg(without)
        assert found is not None
        assert np.array_equal(found, whole)
    assert decode_jpeg(data[: len(data) * 2 // 3]) is None
