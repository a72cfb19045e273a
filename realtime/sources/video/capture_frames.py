"""Captures frames from a camera, and reconnects after unplugging."""

from __future__ import annotations

from collections.abc import Callable

from realtime.infra.clock import now_ns
from realtime.sources.base import ThreadedFrames
from realtime.sources.video.opencv_capture import VideoCapture
from realtime.types import Frame, SourceStatus

RETRY_S = 1.0
SILENCE_NS = 2_000_000_000
_PLAUSIBLE_NS = 1_000_000_000


class CaptureFrames(ThreadedFrames):
    """A `FrameSource` that reopens its camera after every loss.

    `timestamp` is the host's monotonic clock in seconds: the driver's capture time, else the receive time. A driver
    may block in a read, so that `stop` may leave a blocked thread behind; it publishes no more frames, and closes the
    camera when the read returns.
    """

    def __init__(self, name: str, open_capture: Callable[[], VideoCapture | None], advice: str) -> None:
        """advice: instruction for the user when it cannot be opened."""
        super().__init__(f"opening {name}", f"frames {name}")
        self._name, self._open, self._advice = name, open_capture, advice
        self._index = 0
        self._last_ns: int | None = None

    def status(self) -> SourceStatus:
        """Return state and counts; a camera blocked in a read is `waiting`."""
        if self._last_ns is not None and now_ns() - self._last_ns > SILENCE_NS:
            self._monitor.set_state("waiting", f"{self._name} gives no pictures; {self._advice}")
        return super().status()

    def _run(self) -> None:
        while not self._stop.is_set():
            self._capture()
            self._stop.wait(RETRY_S)

    def _capture(self) -> None:
        """Open it and read until a read fails."""
        capture = self._open()
        if capture is None:
            self._monitor.set_state("waiting", f"{self._name} cannot be opened; {self._advice}")
            return
        try:
            while not self._stop.is_set():
                ok, image = capture.read()
                received_ns = now_ns()
                if self._stop.is_set():
                    return
                if not ok or image is None:
                    self._monitor.set_state("waiting", f"{self._name} gives no more pictures; {self._advice}")
                    return
                stamp_ns = capture.captured_ns() or 0
                captured_ns = stamp_ns if 0 <= received_ns - stamp_ns < _PLAUSIBLE_NS else received_ns
                self._last_ns = received_ns
                self._publish(Frame(image, self._index, captured_ns / 1e9, captured_ns, received_ns))
                self._index += 1
        finally:
            capture.release()
