"""Tiny recordings, made where a test needs them."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from engines import Image


def picture(number: int, size: tuple[int, int] = (64, 48)) -> Image:
    """A grey picture whose brightness tells its number."""
    return np.full((size[1], size[0], 3), 20 + 10 * number, np.uint8)


def number_in(image: Image) -> int:
    """The number of a `picture`, through lossy coding."""
    return round((float(image.mean()) - 20) / 10)


def make_folder(path: Path, count: int, size: tuple[int, int] = (64, 48), suffix: str = ".png") -> Path:
    """A folder of `count` numbered pictures."""
    path.mkdir()
    for i in range(count):
        cv2.imwrite(str(path / f"{i:03d}{suffix}"), picture(i, size))
    return path


def make_video(path: Path, count: int, fps: float = 25.0, size: tuple[int, int] = (64, 48)) -> Path:
    """A video of `count` numbered pictures."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), fps, size)
    for i in range(count):
        writer.write(picture(i, size))
    writer.release()
    return path
