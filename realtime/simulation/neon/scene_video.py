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
        self._place = 1.0, 0, 0  # of the newest picture in the scene camera's: scale, left and top

    def encode(self, at_s: float, image: Image, aim: GazeAim | None, depth: bytes | None = None) -> EncodedFrame:
        """Encode a picture, fitted into the camera's, and move the aim with it."""
        picture = self._fit(image)
        frame = av.VideoFrame.from_ndarray(picture, format="bgr24")
        self._ticks += 3000
        frame.pts, frame.time_base = self._ticks, _TIME_BASE
        if at_s == 0.0:
            frame.pict_type = av.video.frame.PictureType.I
        data = b"".join(bytes(packet) for packet in self._codec.encode(frame))
        moved = None if aim is None else GazeAim(*self.move_point(aim.x, aim.y), aim.jumped)
        return EncodedFrame(0.0, at_s, data, self._size, moved)

    def move_point(self, x: float, y: float) -> tuple[float, float]:
        """Move a point of the newest picture, px, to where it is in the scene camera's."""
        scale, left, top = self._place
        return x * scale + left, y * scale + top

    def _fit(self, image: Image) -> Image:
        """Scale a picture into the scene camera's, with grey margins."""
        high, wide = image.shape[:2]
        if (wide, high) == self._size:
            return image
        scale = min(self._size[0] / wide, self._size[1] / high)
        fitted = round(wide * scale), round(high * scale)
        left, top = (self._size[0] - fitted[0]) // 2, (self._size[1] - fitted[1]) // 2
        self._place = scale, left, top
        out = np.full((self._size[1], self._size[0], 3), 96, np.uint8)
        scaled = cv2.resize(image, fitted, interpolation=cv2.INTER_LINEAR)
        out[top : top + fitted[1], left : left + fitted[0]] = scaled
        return out


def split_nals(data: bytes) -> list[bytes]:
    """Split an encoded frame at its start codes."""
    return [nal for nal in re.split(b"\0\0\0?\1", data) if nal]


def find_parameter_sets(data: bytes) -> list[bytes]:
    """Return the sequence and picture parameter sets of a key frame."""
    return [nal for nal in split_nals(data) if nal[0] & 31 in _PARAMETER_SETS]
