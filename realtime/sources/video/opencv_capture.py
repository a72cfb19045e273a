"""Captures frames with OpenCV, from cameras, videos, folders of images and streams."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

# FFmpeg and OpenCV also print the errors that they return, each second while a camera is missing.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")

import cv2
from cv2.utils import logging as cv2_logging

from engines import Image
from engines.pictures import PICTURES, PictureError, list_pictures, name_for_video, read_picture
from realtime.errors import SourceError

cv2_logging.setLogLevel(cv2_logging.LOG_LEVEL_SILENT)

FOLDER_FPS = 24.0
ADVICE = "; expected MP4, MKV, WebM or AVI. If it is one, convert it: ffmpeg -i IN -c:v libx264 OUT.mp4"
_DEPTH_ADVICE = " of depth; expected FFV1 gray16le in MKV, mm"
_FPS_RANGE = (0.1, 1000.0)


class VideoFile:
    """A video file, or a folder of images in natural order of their names."""

    def __init__(self, path: Path, *, fps: float | None = None) -> None:
        """fps: for folders. Raises `SourceError` unless a first frame can be read."""
        self.path = path
        self.undecodable = 0
        self._pictures: list[Path] | None = None
        if path.is_dir():
            self._pictures = list_pictures(path)
            self.fps, count = FOLDER_FPS if fps is None else fps, len(self._pictures)
            if not self._pictures:
                raise SourceError(f"{path} holds no pictures; expected files that end in {', '.join(PICTURES)}")
        elif not path.exists():
            raise SourceError(f"there is no {path}; give a video file or a folder of pictures")
        else:
            capture = _open_video(path)
            self.fps = float(capture.get(cv2.CAP_PROP_FPS)) or FOLDER_FPS
            count = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
            capture.release()
        if not _FPS_RANGE[0] <= self.fps <= _FPS_RANGE[1]:
            raise SourceError(f"{path}: {self.fps:g} frames per second; expected {_FPS_RANGE[0]} to {_FPS_RANGE[1]:g}")
        self.duration_s = count / self.fps if count > 0 else None
        first = next(self.frames(), None)
        if first is None:
            raise SourceError(f"{path} has no picture that can be decoded; is it complete?")
        self.size = first[1].shape[1], first[1].shape[0]
        self.undecodable = 0

    def frames(self) -> Iterator[tuple[float, Image]]:
        """Yield (seconds since the first frame, (H, W, 3) BGR); each call reads from the start."""
        return self._read_pictures(self._pictures) if self._pictures else self._read_video()

    def _read_video(self) -> Iterator[tuple[float, Image]]:
        last_s = -1.0
        for at_s, image in _read_timed(_open_video(self.path)):
            last_s = at_s if at_s > last_s else last_s + 1 / self.fps  # some containers store no times
            yield last_s, image

    def _read_pictures(self, pictures: list[Path]) -> Iterator[tuple[float, Image]]:
        for number, path in enumerate(pictures):
            try:
                image = read_picture(path)
            except PictureError:
                self.undecodable += 1
            else:
                yield number / self.fps, image


def _open_video(path: Path, *options: int, advice: str = ADVICE) -> cv2.VideoCapture:
    """Open a video file; raises `SourceError` with the reason, and `advice` where none is known."""
    try:
        capture = cv2.VideoCapture(name_for_video(path), cv2.CAP_FFMPEG, options)
    except PictureError as error:
        raise SourceError(str(error)) from None
    if capture.isOpened():
        return capture
    if path.is_file() and _is_cut_mp4(path):
        raise SourceError(
            f"{path} is incomplete: it ends before its index (moov), so that no player can read it; copy it again, or "
            "repair it with what recorded it"
        )
    raise SourceError(f"{path} cannot be opened as a video{advice}")


def _is_cut_mp4(path: Path) -> bool:
    """Check whether a file is an MP4 or MOV that ends before its index is complete (boxes of ISO/IEC 14496-12)."""
    kinds = []
    with path.open("rb") as file:
        end, at = file.seek(0, os.SEEK_END), 0
        while at + 8 <= end:
            file.seek(at)
            head = file.read(16)
            kinds.append(head[4:8])
            length = int.from_bytes(head[8:] if head[:4] == b"\0\0\0\1" else head[:4], "big") or end - at
            if length < 8:
                break
            at += length
    return kinds[:1] in ([b"ftyp"], [b"wide"], [b"mdat"]) and (b"moov" not in kinds or at > end)


def _read_timed(capture: cv2.VideoCapture) -> Iterator[tuple[float, NDArray[Any]]]:
    """Yield (seconds since the first frame, decoded image) to the end, then release the capture."""
    first_s = None
    try:
        while True:
            ok, image = capture.read()
            if not ok:
                return
            at_s = capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
            first_s = at_s if first_s is None else first_s
            yield at_s - first_s, image
    finally:
        capture.release()


def depth_frames(path: Path) -> Iterator[tuple[float, NDArray[np.uint16]]]:
    """Yield (seconds since the first frame, (H, W) millimetres) of a 16-bit video, such as FFV1 gray16le.

    Raises `SourceError` for a video that cannot be opened or has another format.
    """
    at_s = None
    for at_s, image in _read_timed(_open_video(path, cv2.CAP_PROP_CONVERT_RGB, 0, advice=_DEPTH_ADVICE)):
        if image.dtype != np.uint16 or image.ndim != 2:
            raise SourceError(f"{path} has pictures of {image.dtype} {image.shape}; depth is one channel of 16 bits")
        yield at_s, image
    if at_s is None:
        raise SourceError(f"{path} cannot be opened as a video{_DEPTH_ADVICE}")


class VideoCapture:
    """An opened camera or stream."""

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
        """Close the device or stream."""
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


def open_stream(url: str) -> VideoCapture | None:
    """Open a network stream; None without a reply within 3 s. A read ends after 2 s."""
    limits = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, 3000, cv2.CAP_PROP_READ_TIMEOUT_MSEC, 2000]
    capture = cv2.VideoCapture(url, cv2.CAP_FFMPEG, limits)
    return VideoCapture(capture) if capture.isOpened() else None
