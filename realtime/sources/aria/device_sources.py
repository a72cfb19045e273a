"""Receives frames and gaze of Project Aria glasses from the process that the two share."""

from __future__ import annotations

from realtime.infra.clock import ArrivalClock, now_ns
from realtime.sources.aria.messages import BridgeError, BridgeMessage, read_pixels, read_point
from realtime.sources.aria.process import BridgeProcess
from realtime.sources.base import SourceMonitor
from realtime.types import (
    Frame,
    FrameSource,
    GazeSample,
    GazeSource,
    OnEvent,
    OnFrame,
    OnGaze,
    SourceState,
    SourceStatus,
)

SILENCE_NS = 1_500_000_000


class _AriaSource:
    """A base of both sources: their state, and the process."""

    def __init__(self, process: BridgeProcess, data: str) -> None:
        self.process, self._data = process, data
        self._monitor = SourceMonitor("connecting", "starting Project Aria's client")
        self._is_started = self._is_stopped = False
        self._good_ns: int | None = None
        self._bridge_dropped = 0

    def stop(self) -> None:
        """Stop within a second."""
        if self._is_started and not self._is_stopped:
            self.process.detach(self)
        self._is_stopped = True

    def status(self) -> SourceStatus:
        """Return state and counts."""
        good_ns, found = self._good_ns, self._monitor.status()
        if found.state == "running" and good_ns is not None and now_ns() - good_ns > SILENCE_NS:
            self._monitor.set_state("waiting", f"the glasses send no {self._data}")
        return self._monitor.status()

    def on_state(self, state: SourceState, reason: str) -> None:
        """Handle a change of the process's state."""
        self._monitor.set_state(state, reason)

    def on_message(self, message: BridgeMessage, arrived_ns: int, clock: ArrivalClock) -> None:
        """Handle data of this kind; what cannot be used is counted."""
        if message.kind != self._data:
            if message.kind not in ("frame", "gaze", "hello"):
                self._monitor.count_dropped("unknown message")
            return
        self._monitor.count_received()
        self._count_lost(message)
        try:
            time_ns = message.time_ns
            captured_ns = min(arrived_ns, clock.host_ns(time_ns / 1e9, arrived_ns))
            self._handle(message, time_ns / 1e9, captured_ns, now_ns())
        except BridgeError as error:
            self._monitor.count_dropped(str(error))

    def _handle(self, message: BridgeMessage, timestamp: float, captured_ns: int, received_ns: int) -> None:
        raise NotImplementedError

    def _accept(self) -> None:
        self._good_ns = now_ns()
        self._monitor.set_state("running")

    def _count_lost(self, message: BridgeMessage) -> None:
        """Count what the other process could not send; it counts from its start."""
        counts = message.fields.get("dropped")
        lost = counts.get(self._data) if isinstance(counts, dict) else 0
        if type(lost) is int and 0 <= lost < 1 << 31:
            self._monitor.count_dropped("replaced", max(0, lost - self._bridge_dropped))
            self._bridge_dropped = lost

    def _start(self, on_event: OnEvent | None) -> None:
        if self._is_started or self._is_stopped:
            raise RuntimeError("a source starts once; open another")
        self._is_started = True
        self._monitor.on_event = on_event
        self.process.attach(self)


class AriaFrames(_AriaSource, FrameSource):
    """A `FrameSource` of the scene camera. process: shared with the gaze of the same glasses."""

    def __init__(self, process: BridgeProcess) -> None:
        super().__init__(process, "frame")
        self._on_frame: OnFrame = lambda frame: None
        self._index = 0

    def start(self, on_frame: OnFrame, on_event: OnEvent | None = None) -> None:
        """Start the client where it does not run yet; the glasses may appear later."""
        self._on_frame = on_frame
        self._start(on_event)

    def _handle(self, message: BridgeMessage, timestamp: float, captured_ns: int, received_ns: int) -> None:
        image = read_pixels(message)
        self._accept()
        self._on_frame(Frame(image, self._index, timestamp, captured_ns, received_ns))
        self._index += 1


class AriaGaze(_AriaSource, GazeSource):
    """A `GazeSource` in fractions of the scene camera's picture; without gaze the last position with confidence 0."""

    def __init__(self, process: BridgeProcess) -> None:
        super().__init__(process, "gaze")
        self._on_gaze: OnGaze = lambda sample: None
        self._last: tuple[float, float] | None = None

    def start(self, on_gaze: OnGaze, on_event: OnEvent | None = None) -> None:
        """Start the client where it does not run yet; the glasses may appear later."""
        self._on_gaze = on_gaze
        self._start(on_event)

    def _handle(self, message: BridgeMessage, timestamp: float, captured_ns: int, received_ns: int) -> None:
        if flaw := message.fields.get("flaw"):
            raise BridgeError(str(flaw)[:60])
        found = read_point(message)
        self._last = found or self._last
        self._accept()
        if self._last is None:
            self._monitor.count_dropped("no position")
            return
        confidence = 1.0 if found else 0.0
        self._on_gaze(GazeSample(*self._last, "norm", confidence, timestamp, captured_ns, received_ns))
