"""Receives frames, gaze and depth from a Pupil-compatible device."""

from __future__ import annotations

import math

import msgpack
import numpy as np

from engines import Image
from engines.pictures import add_jpeg_end
from realtime.comms.sockets.pupil import PupilSubscription
from realtime.comms.sockets.request_reply import RequestSocket
from realtime.errors import SourceError
from realtime.infra.clock import now_ns
from realtime.infra.frame_pacing import FramePacing, PendingFrame
from realtime.sources.depth import DepthFrame, DepthScale, LiveDepth, choose_scale, clean_depth
from realtime.sources.pupil.connection import DEFAULT_PORT, PupilSource
from realtime.sources.pupil.frame_formats import FORMAT_HINT, FormatRequests
from realtime.sources.pupil.messages import (
    DEPTH_FORMATS,
    FrameHeader,
    MalformedMessage,
    read_depth,
    read_frame_header,
    read_gaze,
    read_pixels,
)
from realtime.types import Frame, GazeSample, OnEvent, OnFrame, OnGaze

_MAX_DRAINED = 64
MAX_LATE_S = 2.0
"""A network that reorders messages delays them by less."""
_MAX_GAP = 1000
"""Indices further apart than this were not lost: the device restarted its count."""


class PupilFrames(PupilSource):
    """A `FrameSource` that decodes the newest `frame.world` of a device.

    `status().dropped` counts replaced frames ("replaced"), gaps in their indices, frames out of order, and malformed
    ones.
    """

    _hint = FORMAT_HINT

    def __init__(self, host: str, port: int = DEFAULT_PORT) -> None:
        super().__init__(host, port, "frame.world", queue=16)
        self._on_frame: OnFrame = lambda frame: None
        self._index, self._time_s = -1, -math.inf
        self._formats = FormatRequests()
        self.pacing = FramePacing()
        self._is_sound = False  # the last picture that was decoded

    def start(self, on_frame: OnFrame, on_event: OnEvent | None = None) -> None:
        """Start now; the device may appear later."""
        self._on_frame = on_frame
        self._connect(on_event)

    def _process(self, feed: PupilSubscription, parts: list[bytes]) -> None:
        """Decode the newest of all waiting frames."""
        newest = None
        waiting: list[bytes] | None = parts
        for _ in range(_MAX_DRAINED):
            if waiting is None:
                break
            self._monitor.count_received()
            try:
                header = read_frame_header(waiting)
            except MalformedMessage as error:
                self._count_malformed(error)
            else:
                if self._is_next(header):
                    self._monitor.count_dropped("replaced", int(newest is not None))
                    newest = header, waiting[2], now_ns()
            waiting = feed.receive(0)
        if newest is None:
            return
        header, raw, received_ns = newest
        if not self.pacing.admit():
            return
        image = None
        if not (self._is_sound and header.format == "jpeg" and self.pacing.may_defer()):
            self._is_sound = False
            image = read_pixels(header, raw)
            self._is_sound = True
        captured_ns = self._accept(header.timestamp, received_ns)
        self._formats.on_usable(header.format)
        jpeg = add_jpeg_end(raw) if header.format == "jpeg" else None
        times = header.index, header.timestamp, captured_ns, received_ns, jpeg
        if image is not None:
            self._on_frame(Frame(image, *times))
            return
        size = header.width, header.height
        self._on_frame(PendingFrame(lambda: self._decode_late(header, raw), size, *times))

    def _decode_late(self, header: FrameHeader, raw: bytes) -> Image:
        """Decode a deferred frame, on its reader's thread; raises `SourceError` for one that was counted."""
        try:
            return read_pixels(header, raw)
        except MalformedMessage as error:
            self._is_sound = False  # the next ones are decoded at once, so that the state tells what is wrong
            self._count_malformed(error)
            raise SourceError(error.detail) from None

    def _is_next(self, header: FrameHeader) -> bool:
        """Count the frames before this one that are missing; False for one that is older than the last, and counted.

        A frame of a restarted device, or after a clock was set, is not older.
        """
        is_earlier = self._time_s - MAX_LATE_S < header.timestamp < self._time_s
        if is_earlier and self._index - _MAX_GAP < header.index <= self._index:
            self._monitor.count_dropped("out of order")
            return False
        gap = header.index - self._index - 1
        self._monitor.count_dropped("lost on the way", gap if self._index >= 0 and 0 < gap < _MAX_GAP else 0)
        self._index, self._time_s = header.index, header.timestamp
        return True

    def _on_connect(self) -> None:
        self._formats.on_connect()

    def _on_silence(self, remote: RequestSocket) -> None:
        subject, frame_format = "frame_publishing.set_format", self._formats.next_format()
        remote.send_message(f"notify.{subject}", msgpack.packb({"subject": subject, "format": frame_format}))

    def _count_malformed(self, error: MalformedMessage) -> None:
        super()._count_malformed(error)
        self._formats.on_unusable()


class PupilGaze(PupilSource):
    """A `GazeSource` that receives every `gaze.` sample of a device, in order of arrival.

    `status().dropped` counts malformed samples by reason; "no position" are those without a usable `norm_pos`.
    """

    def __init__(self, host: str, port: int = DEFAULT_PORT) -> None:
        super().__init__(host, port, "gaze.", queue=1000)
        self._on_gaze: OnGaze = lambda sample: None
        self.pacing = FramePacing()

    def start(self, on_gaze: OnGaze, on_event: OnEvent | None = None) -> None:
        """Start now; the device may appear later."""
        self._on_gaze = on_gaze
        self._connect(on_event)

    def _rest(self) -> None:
        """Read the next samples together where the tracker has no time for them yet: each wake costs 0.1 ms."""
        self.pacing.rest()

    def _process(self, feed: PupilSubscription, parts: list[bytes]) -> None:
        received_ns = now_ns()
        self._monitor.count_received()
        datum = read_gaze(parts)
        captured_ns = self._accept(datum.timestamp, received_ns)
        self._on_gaze(GazeSample(datum.x, datum.y, "norm", datum.confidence, datum.timestamp, captured_ns, received_ns))


class PupilDepth(PupilSource, LiveDepth):
    """A `DepthSource` that receives `frame.depth`, in format `depth16` (mm) or `depth32f` (m)."""

    def __init__(self, host: str, port: int = DEFAULT_PORT, *, same_clock: bool, scale_m: DepthScale = "auto") -> None:
        """same_clock: the frames come from the same device, so that timestamps match them.

        scale_m: of `depth16`; "auto" uses the messages' own `depth_scale`.
        """
        self._scale_m = scale_m
        PupilSource.__init__(self, host, port, "frame.depth", queue=8)
        LiveDepth.__init__(self, same_clock=same_clock)

    def start(self) -> None:
        """Start now; the device may appear later."""
        self._connect(None)

    def stop(self) -> None:
        """Stop within a second, and end a wait for depth."""
        self.close()
        super().stop()

    def _process(self, feed: PupilSubscription, parts: list[bytes]) -> None:
        received_ns = now_ns()
        self._monitor.count_received()
        header = read_frame_header(parts, DEPTH_FORMATS)
        pixels = read_depth(header, parts[2])
        scale_m = choose_scale(self._scale_m, header.depth_scale)
        captured_ns = self._accept(header.timestamp, received_ns)
        used_m = scale_m if pixels.dtype == np.uint16 else None
        self.put(DepthFrame(clean_depth(pixels, scale_m), header.timestamp, captured_ns, scale_m=used_m))
