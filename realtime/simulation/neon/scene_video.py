"""Encodes a clip as the scene camera of a Neon does: H.264 in its resolution, a key frame a second."""

from __future__ import annotations

import re
from fractions import Fraction

import av
import cv2
import numpy as np

from engines import Image
from realtime.simulation.encoded_frames import EncodedFrame
from realtime.simulation.wandering_gaze import GazeAim

SIZE = (1600, 1200)
_TIME_BASE = Fraction(1, 90_000)
_OPTIONS = {"preset": "ultrafast", "tune": "zerolatency", "profile": "baseline", "crf": "27", "threads": "1"}
_PARAMETER_SETS = (7, 8)


class SceneEncoder:
    """An encoder of one pass through a clip after the other; each begins with a key frame."""

    def __init__(self, fps: float, size: tuple[int, int] = SIZE) -> None:
        self._codec = av.CodecContext.create("libx264", "w")
        self._codec.width, self._codec.height = self._size = size
        self._codec.pix_fmt, self._codec.time_base = "yuv420p", _TIME_BASE
        self._codec.framerate = Fraction(fps).limit_denominator(1000)
        self._codec.options = _OPTIONS | {"g": str(max(1, round(fps)))}
        self._ticks = 0

    def encode(self, at_s: float, image: Image, aim: GazeAim | None, depth: bytes | None = None) -> EncodedFrame:
        """Encode a picture, fitted into the camera's, and move the aim with it."""
        picture, scale, (left, top) = _fit(image, self._size)
        frame = av.VideoFrame.from_ndarray(picture, format="bgr24")
        self._ticks += 3000
        frame.pts, frame.time_base = self._ticks, _TIME_BASE
        if at_s == 0.0:
            frame.pict_type = av.video.frame.PictureType.I
        data = b"".join(bytes(packet) for packet in self._codec.encode(frame))
        moved = None if aim is None else GazeAim(aim.x * scale + left, aim.y * scale + top, aim.jumped)
        return EncodedFrame(0.0, at_s, data, self._size, moved)


def split_nals(data: bytes) -> list[bytes]:
    """Split an encoded frame at its start codes."""
    return [nal for nal in re.split(b"\0\0\0?\1", data) if nal]


def find_parameter_sets(data: bytes) -> list[bytes]:
    """Return the sequence and picture parameter sets of a key frame."""
    return [nal for nal in split_nals(data) if nal[0] & 31 in _PARAMETER_SETS]


def _fit(image: Image, size: tuple[int, int]) -> tuple[Image, float, tuple[int, int]]:
    """Scale a picture into `size` with grey margins; returns it, the scale, and its left top corner."""
    high, wide = image.shape[:2]
    if (wide, high) == size:
        return image, 1.0, (0, 0)
    scale = min(size[0] / wide, size[1] / high)
    fitted = round(wide * scale), round(high * scale)
    left, top = (size[0] - fitted[0]) // 2, (size[1] - fitted[1]) // 2
    out = np.full((size[1], size[0], 3), 96, np.uint8)
    out[top : top + fitted[1], left : left + fitted[0]] = cv2.resize(image, fitted, interpolation=cv2.INTER_LINEAR)
    return out, scale, (left, top)
