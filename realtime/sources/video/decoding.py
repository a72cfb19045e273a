"""Chooses, decodes and times the video stream of a container that PyAV opened."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TypeAlias, cast

import av

from engines.pictures import is_whole_jpeg
from realtime.sources.video.frame_images import CONVERSION_ERRORS, Deinterlacer

VideoPacket: TypeAlias = "av.Packet[av.VideoStream]"
DEFAULT_FPS = 24.0
FPS_RANGE = (0.1, 1000.0)
DEPTH_FORMATS = ("gray16le", "gray16be")
_MAX_STEP_BACK_S = 1.0
"""A step back by more begins a new stretch of time, such as that of another recording behind the first."""


class FrameDecoder:
    """Decodes the packets of one stream to progressive frames, and counts those that cannot be decoded."""

    def __init__(self, stream: av.VideoStream) -> None:
        self._context = stream.codec_context
        self._deinterlacer = Deinterlacer()
        self.undecodable = 0

    def decode(self, packet: VideoPacket) -> Iterator[av.VideoFrame]:
        """Yield the frames that the packet finishes; `end_packet` ends the stream."""
        # FFmpeg shows what is missing of a JPEG as green, and says nothing
        if self._context.name == "mjpeg" and packet.size and not is_whole_jpeg(bytes(packet)):
            self.undecodable += 1
            return
        try:
            frames = self._context.decode(packet)
        except CONVERSION_ERRORS:
            self.undecodable += 1
            frames = []
        for frame in frames:
            if frame.is_corrupt:
                self.undecodable += 1
            else:
                yield from self._deinterlace(frame)
        if not packet.size:
            yield from self._deinterlacer.flush()

    def _deinterlace(self, frame: av.VideoFrame) -> Iterator[av.VideoFrame]:
        try:
            yield from self._deinterlacer.push(frame)
        except CONVERSION_ERRORS:
            self.undecodable += 1
            self._deinterlacer = Deinterlacer()

    def restart(self) -> None:
        """Forget earlier frames; the next packet begins anew."""
        self._context.flush_buffers()
        self._deinterlacer = Deinterlacer()


def end_packet(stream: av.VideoStream) -> VideoPacket:
    """Return the packet that makes a decoder return its last frames."""
    packet = cast(VideoPacket, av.Packet())
    if stream.time_base:
        packet.time_base = stream.time_base
    return packet


class FrameTimes:
    """Places frames on one axis of time that begins with the first and always increases.

    Frames without a time, and those that are a little too early, follow the one before by the usual interval.
    """

    def __init__(self, fps: float, *, max_step_s: float = math.inf) -> None:
        """max_step_s: a longer step ahead begins a new stretch of time, too."""
        self._interval_s, self._max_step_s = 1 / fps, max_step_s
        self._origin_s: float | None = None
        self._last_s = -self._interval_s

    def place(self, time_s: float | None) -> float:
        """Return seconds since the first frame."""
        placed_s = self._last_s + self._interval_s
        if time_s is not None and math.isfinite(time_s):
            step_s = 0.0 if self._origin_s is None else time_s - self._origin_s - self._last_s
            if self._origin_s is None or not -_MAX_STEP_BACK_S <= step_s <= self._max_step_s:
                self._origin_s = time_s - placed_s
            if time_s - self._origin_s > self._last_s:
                placed_s = time_s - self._origin_s
        self._last_s = placed_s
        return placed_s


def choose_stream(container: av.container.InputContainer, *, is_depth: bool = False) -> av.VideoStream | None:
    """Return the video stream of the largest pictures, and skip all others; None without one that can be decoded.

    Covers and thumbnails are no video. is_depth: a stream of 16-bit greys is preferred.
    """
    cover = av.stream.Disposition.attached_pic
    streams = [
        stream
        for stream in container.streams.video
        if stream.codec_context is not None and not stream.disposition & cover
    ]
    if not streams:
        return None
    streams.sort(key=lambda stream: (is_depth and stream.pix_fmt not in DEPTH_FORMATS, -stream.width * stream.height))
    for stream in container.streams:
        if stream is not streams[0]:
            stream.discard = av.stream.Discard.all
    return streams[0]


def measure_rate(stream: av.VideoStream) -> float:
    """Return the usual frames per second; `DEFAULT_FPS` where the stream has none that can be true."""
    rates = (float(rate) for rate in (stream.guessed_rate, stream.average_rate, stream.base_rate) if rate)
    return next((rate for rate in rates if FPS_RANGE[0] <= rate <= FPS_RANGE[1]), DEFAULT_FPS)


def measure_duration(container: av.container.InputContainer, stream: av.VideoStream) -> float | None:
    """Return the duration in seconds that the container declares, or None."""
    if stream.frames:
        return stream.frames / measure_rate(stream)
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    if not container.duration:
        return None
    # Matroska declares the time of its end, not what lies between start and end
    start = (container.start_time or 0) if "matroska" in container.format.name else 0
    return (container.duration - start) / av.time_base
