"""Frames and gaze from a page in a browser: its camera or clip, and its mouse or finger.

Whoever serves the page puts in what the page sends; nothing here knows how it came.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from realtime.infra.channels import Latest
from realtime.infra.clock import now_ns
from realtime.sources.base import SourceMonitor, ThreadedSource
from realtime.sources.pupil_messages import read_jpeg_size
from realtime.types import Frame, FrameSource, GazeSample, GazeSource, OnEvent, OnFrame, OnGaze, SourceStatus

MAX_PIXELS = 4096 * 2160
"""Decoding costs three bytes a pixel, however small the JPEG."""
SILENCE_NS = 1_000_000_000
NO_PAGE = "open the page and start its camera or a clip"


@dataclass(frozen=True, slots=True)
class BrowserFrame:
    """A frame as the page sent it. `timestamp` is the page's clock in seconds, `captured_ns` the host's."""

    jpeg: bytes
    index: int
    timestamp: float
    captured_ns: int
    received_ns: int


class BrowserFrames(ThreadedSource, FrameSource):
    """Decodes the newest frame on a thread of its own, so that whoever offers it goes on at once."""

    def __init__(self) -> None:
        super().__init__(NO_PAGE)
        self._shots: Latest[BrowserFrame] = Latest()
        self._on_frame: OnFrame = lambda frame: None
        self._last_ns = 0

    def start(self, on_frame: OnFrame, on_event: OnEvent | None = None) -> None:
        """Begin, whether a page is there yet or not."""
        self._on_frame = on_frame
        self._start_threads(on_event, **{"frames browser": self._decode})

    def stop(self) -> None:
        """End within a second."""
        self._shots.close()
        super().stop()

    def status(self) -> SourceStatus:
        """`dropped` counts what was superseded by a newer frame before it was decoded, and what was no JPEG."""
        if self._last_ns and now_ns() - self._last_ns > SILENCE_NS:
            self._monitor.set_state("waiting", "the page sends no frames; is it hidden or asleep?")
        found = self._monitor.status()
        superseded = {"superseded": self._shots.dropped} if self._shots.dropped else {}
        return SourceStatus(found.state, found.reason, found.received, {**found.dropped, **superseded})

    def offer(self, shot: BrowserFrame) -> None:
        """Take a frame; never blocks."""
        self._shots.put(shot)

    def disconnect(self) -> None:
        """The page that was the source is so no longer."""
        self._last_ns = 0
        self._monitor.set_state("connecting", NO_PAGE)

    def _decode(self) -> None:
        while (shot := self._shots.get()) is not None:
            size = read_jpeg_size(shot.jpeg)
            if size is None or not 0 < size[0] * size[1] <= MAX_PIXELS:
                self._monitor.count_dropped("no jpeg" if size is None else "size")
                continue
            image = cv2.imdecode(np.frombuffer(shot.jpeg, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
            if image is None or image.shape[:2] != (size[1], size[0]):
                self._monitor.count_dropped("undecodable")
                continue
            self._last_ns = now_ns()
            self._monitor.count_received()
            self._monitor.set_state("running")
            picture = np.asarray(image, np.uint8)
            times = shot.timestamp, shot.captured_ns, shot.received_ns
            self._on_frame(Frame(picture, shot.index, *times, shot.jpeg))


class BrowserGaze(GazeSource):
    """The mouse or finger over the page's picture: 0..1 of the frame, confidence 0 when it has left."""

    def __init__(self) -> None:
        self._monitor = SourceMonitor("waiting", "move the mouse or a finger over the page's picture")
        self._on_gaze: OnGaze | None = None

    def start(self, on_gaze: OnGaze, on_event: OnEvent | None = None) -> None:
        """Begin to give samples to `on_gaze`."""
        self._monitor.on_event = on_event
        self._on_gaze = on_gaze

    def stop(self) -> None:
        """Give no more samples."""
        self._on_gaze = None

    def status(self) -> SourceStatus:
        """Running once there was a look."""
        return self._monitor.status()

    def offer(self, sample: GazeSample) -> None:
        """Take a look; called from one thread."""
        give = self._on_gaze
        if give is not None:
            self._monitor.count_received()
            self._monitor.set_state("running")
            give(sample)
