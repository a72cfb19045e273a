"""Captures frames from the cameras of this machine with OpenCV."""

from __future__ import annotations

import os

import numpy as np

# OpenCV also prints the errors that it returns, each second while a camera is missing.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")

import cv2
from cv2.utils import logging as cv2_logging

from engines import Image

cv2_logging.setLogLevel(cv2_logging.LOG_LEVEL_SILENT)


class VideoCapture:
    """An opened camera."""

    def __init__(self, capture: cv2.VideoCapture) -> None:
        self._capture = capture

    def read(self) -> tuple[bool, Image | None]:
        """Read the next frame, BGR; blocks until it arrives."""
        ok, image = self._capture.read()
        if not ok or image is None:
            return False, None
        frame = np.asarray(image, np.uint8)
        return True, frame if frame.ndim == 3 else np.repeat(frame[:, :, None], 3, axis=2)

    def captured_ns(self) -> int | None:
        """Return V4L2's timestamp on the host's monotonic clock; other drivers count from opening."""
        stamp_ms = self._capture.get(cv2.CAP_PROP_POS_MSEC)
        return round(stamp_ms * 1e6) if stamp_ms > 0 else None

    def release(self) -> None:
        """Close the device."""
        self._capture.release()


def open_camera(camera: int | str, *, width: int = 0, height: int = 0, fps: int = 0) -> VideoCapture | None:
    """Open a camera, by number or device, with the driver's nearest mode (0: its default); None if it cannot."""
    options = ((cv2.CAP_PROP_FRAME_WIDTH, width), (cv2.CAP_PROP_FRAME_HEIGHT, height), (cv2.CAP_PROP_FPS, fps))
    capture = cv2.VideoCapture(camera, cv2.CAP_ANY if isinstance(camera, int) else cv2.CAP_V4L2)
    if not capture.isOpened():
        return None
    for option, value in options:
        if value:
            capture.set(option, value)
    capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
    return VideoCapture(capture)
