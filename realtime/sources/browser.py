"""Provides frames and gaze from a browser page: its camera or clip, and its mouse or finger.

The server of the page passes on the messages; no network code is here.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from engines.pictures import decode_jpeg
from realtime.infra.channels import Latest
from realtime.infra.clock import now_ns
from realtime.sources.base import SourceMonitor, ThreadedFrames
from realtime.sources.pupil.messages import read_jpeg_size
from realtime.types import Frame, FrameSource, GazeSample, GazeSource, OnEvent, OnGaze, SourceStatus

MAX_PIXELS = 4096 * 2160
"""A decoded frame has three bytes per pixel, however small the JPEG."""
SILENCE_NS = 1_000_000_000
NO_PAGE = "open the page and start its camera or a clip"
NO_POINTER = "move the mouse or a finger over the picture"


@dataclass(frozen=True, slots=True)
class BrowserFrame:
    """Holds a frame of the page; `timestamp` in seconds of the page's clock, `captured_ns` of the host's."""

    jpeg: bytes
    index: int
    timestamp: float
    captured_ns: int
    received_ns: int


class BrowserFrames(ThreadedFrames, FrameSource):
    """A `FrameSource` that decodes the newest frame on its own thread, so that `offer` never blocks."""

    def __init__(self, advice: str = NO_PAGE) -> None:
        """advice: what the user does for frames to come."""
        super().__init__(advice, "frames browser")
        self._advice = advice
        self._monitor.set_state("idle", advice)
        self._pending: Latest[BrowserFrame] = Latest()
        self._last_ns: int | None = None

    def stop(self) -> None:
        """Stop within a second."""
        self._pending.close()
        super().stop()

    def status(self) -> SourceStatus:
        """Return state and counts; `dropped` has frames superseded before decoding, and invalid JPEGs."""
        last_ns = self._last_ns  # `disconnect` may clear it meanwhile
        if last_ns is not None and now_ns() - last_ns > SILENCE_NS:
            self._monitor.set_state("waiting", "the page sends no frames; bring its tab to the front")
        found = self._monitor.status()
        superseded = {"superseded": self._pending.dropped} if self._pending.dropped else {}
        return SourceStatus(found.state, found.reason, found.received, {**found.dropped, **superseded})

    def offer(self, frame: BrowserFrame) -> None:
        """Queue a frame; never blocks."""
        self._pending.put(frame)

    def disconnect(self) -> None:
        """Set the state `idle` after the page has disconnected."""
        self._last_ns = None
        self._monitor.set_state("idle", self._advice)

    def _run(self) -> None:
        while (frame := self._pending.get()) is not None:
            size = read_jpeg_size(frame.jpeg)
            if size is None or not 0 < size[0] * size[1] <= MAX_PIXELS:
                self._monitor.count_dropped("no jpeg" if size is None else "size")
                continue
            image = decode_jpeg(frame.jpeg, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
            if image is None or image.shape[:2] != (size[1], size[0]):
                self._monitor.count_dropped("undecodable")
                continue
            self._last_ns = now_ns()
            times = frame.timestamp, frame.captured_ns, frame.received_ns
            self._publish(Frame(np.asarray(image, np.uint8), frame.index, *times, frame.jpeg))


class BrowserGaze(GazeSource):
    """A `GazeSource` of the pointer over the page: 0..1 of the frame, confidence 0 outside."""

    def __init__(self) -> None:
        self._monitor = SourceMonitor("idle", NO_POINTER)
        self._on_gaze: OnGaze | None = None

    def start(self, on_gaze: OnGaze, on_event: OnEvent | None = None) -> None:
        """Start passing samples to `on_gaze`."""
        self._monitor.on_event = on_event
        self._on_gaze = on_gaze

    def stop(self) -> None:
        """Stop passing samples."""
        self._on_gaze = None

    def status(self) -> SourceStatus:
        """Return state and counts; `running` while the pointer is over the picture, else `idle`."""
        return self._monitor.status()

    def disconnect(self) -> None:
        """Set the state `idle`, because the pointer has left or its page has disconnected."""
        self._monitor.set_state("idle", NO_POINTER)

    def offer(self, sample: GazeSample) -> None:
        """Pass on a sample; called from one thread."""
        on_gaze = self._on_gaze
        if on_gaze is not None:
            self._monitor.count_received()
            if sample.confidence > 0:
                self._monitor.set_state("running")
            else:
                self.disconnect()
            on_gaze(sample)
