"""Writes videos that play in a browser."""

from __future__ import annotations

import contextlib
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, cast

import av
import cv2
import numpy as np

from engines import Image
from realtime.errors import VideoError

if TYPE_CHECKING:
    from av.video.stream import VideoStream

TICKS_PER_S = 12_800
Format = tuple[str, str, dict[str, str], dict[str, str]]
FORMATS: tuple[Format, ...] = (
    ("libx264", "mp4", {"preset": "veryfast", "crf": "20"}, {"movflags": "+faststart"}),
    ("libvpx-vp9", "webm", {"deadline": "realtime", "cpu-used": "6", "crf": "28", "b": "0"}, {}),
)
"""(codec, container, its options, the container's): H.264 first, VP9 where a build lacks it."""


class OverlayWriter:
    """Writes frames at their own times into `stem`.mp4 (H.264) or `stem`.webm (VP9).

    Use it in a `with` block: the file gets its name when the block ends, and an error inside the block leaves no file.
    """

    def __init__(self, stem: Path, size: tuple[int, int], fps: float, *, codec: str | None = None) -> None:
        """Open the file; size is (width, height) px. Raises `VideoError` without a usable encoder or on a bad path."""
        name, container, options, container_options = _format(codec)
        self.path = stem.with_name(f"{stem.name}.{container}")
        self._part = stem.with_name(f"{stem.name}.part.{container}")
        self.size = size
        self._last_tick = -1
        av.logging.set_level(None)  # with a log, FFmpeg's threads and closing would wait for each other
        self.frames = self.late = 0
        try:
            self._part.touch()  # PyAV opens the file at the first frame only, which is late to learn of a bad folder
            self._out = av.open(str(self._part.absolute()), "w", format=container, options=container_options)
        except (OSError, av.FFmpegError) as error:
            raise VideoError(f"cannot write {self.path}: {error}; choose another folder") from error
        stream = cast("VideoStream", self._out.add_stream(name, rate=max(1, round(fps)), options=options))
        # chroma is stored at half the size, so that both sides must be even
        stream.width, stream.height = (side + side % 2 for side in size)
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = Fraction(1, TICKS_PER_S)
        self._stream = stream

    def write(self, image: Image, at_s: float) -> None:
        """Add an (H, W, 3) uint8 BGR frame of the video's size; one that is not later than the last is counted only.

        Raises `ValueError` for another size, `VideoError` when the disk is full.
        """
        if (image.shape[1], image.shape[0]) != self.size:
            raise ValueError(f"the video is {self.size}, got a frame of {(image.shape[1], image.shape[0])}")
        tick = round(at_s * TICKS_PER_S)
        if tick <= self._last_tick:
            self.late += 1
            return
        self._last_tick = tick
        right, below = self.size[0] % 2, self.size[1] % 2
        if right or below:
            image = np.asarray(cv2.copyMakeBorder(image, 0, below, 0, right, cv2.BORDER_REPLICATE), np.uint8)
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="bgr24")
        frame.pts, frame.time_base = tick, Fraction(1, TICKS_PER_S)
        self._mux(frame)
        self.frames += 1

    def close(self) -> Path:
        """Finish the file and give it its name."""
        try:
            self._mux(None)
            self._out.close()
            self._part.replace(self.path)
        except (OSError, av.FFmpegError, VideoError) as error:
            self.discard()
            raise VideoError(f"cannot finish {self.path}: {error}", begun=True) from error
        return self.path

    def discard(self) -> None:
        """Remove the unfinished file."""
        try:
            with contextlib.suppress(OSError, av.FFmpegError):  # nothing of it is wanted
                self._out.close()
        finally:
            self._part.unlink(missing_ok=True)

    def _mux(self, frame: av.VideoFrame | None) -> None:
        try:
            for packet in self._stream.encode(frame):
                self._out.mux(packet)
        except (OSError, av.FFmpegError) as error:
            raise VideoError(f"cannot write {self.path}: {error}; is the disk full?", begun=True) from error

    def __enter__(self) -> OverlayWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if kind is None:
            self.close()
        else:
            self.discard()


def _format(codec: str | None) -> Format:
    """Choose the first format whose encoder this build of PyAV has, or the named one."""
    for row in FORMATS:
        if codec in (None, row[0]):
            try:
                av.codec.Codec(row[0], "w")
            except av.codec.codec.UnknownCodecError:
                continue
            return row
    names = " or ".join(row[0] for row in FORMATS) if codec is None else codec
    raise VideoError(f"PyAV has no encoder {names}; install its own wheel: pip install --force-reinstall av")
