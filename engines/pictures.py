"""Reads real pictures for calibrating and comparing engines, and crops them to the frames' shape."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np

from engines.base import Image, PromptError


def read_pictures(folder: Path, limit: int = 48) -> list[Image]:
    """Read at most `limit` pictures, evenly spaced, from the images below a folder or a video's frames."""
    if folder.is_dir():
        files = sorted(file for file in folder.rglob("*") if file.suffix.lower() in (".jpg", ".jpeg", ".png"))
        pictures = (cv2.imread(str(file), cv2.IMREAD_COLOR) for file in sample_evenly(files, limit))
        found = [np.asarray(picture, np.uint8) for picture in pictures if picture is not None]
    elif folder.is_file():
        found = _video_frames(folder, limit)
    else:
        raise PromptError(f"{folder} does not exist; give a folder of pictures or a video")
    if not found:
        raise PromptError(f"no picture could be read from {folder}; expected .jpg or .png files, or a video")
    return found


def _video_frames(file: Path, limit: int) -> list[Image]:
    video = cv2.VideoCapture(str(file))
    try:
        count = int(video.get(cv2.CAP_PROP_FRAME_COUNT))
        frames = []
        for index in sample_evenly(range(count), limit):
            video.set(cv2.CAP_PROP_POS_FRAMES, index)
            ok, frame = video.read()
            if ok:
                frames.append(np.asarray(frame, np.uint8))
        return frames
    finally:
        video.release()


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
