"""Live pictures from a camera or a network stream, through unplugging and back."""

from __future__ import annotations

from collections.abc import Callable

from realtime.infra.clock import now_ns
from realtime.sources.base import ThreadedSource
from realtime.sources.opencv_capture import VideoCapture
from realtime.types import Frame, OnEvent, OnFrame, SourceStatus

RETRY_S = 1.0
SILENCE_NS = 2_000_000_000
_PLAUSIBLE_NS = 1_000_000_000


class CaptureFrames(ThreadedSource):
    """A `FrameSource` over anything that can be opened again and again.

    `timestamp` is the host's monotonic clock in seconds: when the driver says the picture was taken, else when it
    arrived. Drivers and decoders may block in a read, so that `stop` leaves a thread behind that is stuck in one; it
    calls nobody any more and closes the camera as soon as it comes back.
    """

    def __init__(self, name: str, open_capture: Callable[[], VideoCapture | None], advice: str) -> None:
        """`advice` tells what to do when it cannot be opened."""
        super().__init__(f"opening {name}")
        self._name, self._open, self._advice = name, open_capture, advice
        self._on_frame: OnFrame = lambda frame: None
        self._index, self._last_ns = 0, 0

    def start(self, on_frame: OnFrame, on_event: OnEvent | None = None) -> None:
        """Begin, whether it is plugged in yet or not."""
        self._on_frame = on_frame
        self._start_threads(on_event, **{f"frames {self._name}": self._capture})

    def status(self) -> SourceStatus:
        """A camera that hangs in a read is `waiting`."""
        if self._last_ns and now_ns() - self._last_ns > SILENCE_NS:
            self._monitor.set_state("waiting", f"{self._name} gives no pictures; {self._advice}")
        return super().status()

    def _capture(self) -> None:
        while not self._stop.is_set():
            self._use()
            self._stop.wait(RETRY_S)

    def _use(self) -> None:
        """Open it and read until it gives no more."""
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
                self._monitor.count_received()
                self._monitor.set_state("running")
                self._on_frame(Frame(image, self._index, captured_ns / 1e9, captured_ns, received_ns))
                self._index += 1
        finally:
            capture.release()
