"""Defines the parts that all sources share: state and counts, and threads."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from typing import Protocol, runtime_checkable

from calibration import CameraModel
from realtime.errors import SourceError
from realtime.infra.threads import is_out_of_memory, run_to_end
from realtime.types import ClockStatus, Frame, OnEvent, OnFrame, SourceState, SourceStatus


@runtime_checkable
class CameraSource(Protocol):
    """A source of frames whose device reports the model of its camera; used where the user gives no calibration.

    camera_name: names the camera's frame of reference.
    """

    camera_name: str

    def camera_model(self) -> CameraModel | None:
        """Return the model of the camera of the newest frames, None while it is unknown; any thread."""


class SourceMonitor:
    """Holds a source's state and counts behind a lock, and reports changes of state."""

    def __init__(self, state: SourceState = "connecting", reason: str = "") -> None:
        self._lock = threading.Lock()
        self._state: SourceState = state
        self._reason = reason
        self._received = 0
        self._dropped: Counter[str] = Counter()
        self.on_event: OnEvent | None = None

    def set_state(self, state: SourceState, reason: str = "") -> None:
        """Change the state and report it if it is new; a final state stays."""
        with self._lock:
            same = (state, reason) == (self._state, self._reason)
            if same or self._state in ("ended", "failed"):
                return
            self._state, self._reason = state, reason
        if self.on_event:
            self.on_event(self.status())

    def count_received(self, count: int = 1) -> None:
        """Count received items."""
        with self._lock:
            self._received += count

    def count_dropped(self, reason: str, count: int = 1) -> None:
        """Count items that were received and are not passed on."""
        if count:
            with self._lock:
                self._dropped[reason] += count

    def status(self, clock: ClockStatus | None = None) -> SourceStatus:
        """Return a copy of state and counts."""
        with self._lock:
            return SourceStatus(self._state, self._reason, self._received, dict(self._dropped), clock)


class ThreadedSource:
    """A base of sources that work on threads of their own: starts, guards and stops these."""

    is_live = True
    """Whether the work may begin anew, which it does after it had no memory; that of a file would play it again."""

    def __init__(self, waiting: str) -> None:
        """waiting: the reason of the state `connecting` before the start."""
        self._monitor = SourceMonitor("connecting", waiting)
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []

    def stop(self) -> None:
        """Stop within a second."""
        self._stop.set()
        for thread in self._threads:
            thread.join(0.9)

    def status(self) -> SourceStatus:
        """Return state and counts."""
        return self._monitor.status()

    def _start_threads(self, on_event: OnEvent | None, **works: Callable[[], None]) -> None:
        """Run each of `works` on a thread with its name."""
        if self._threads or self._stop.is_set():
            raise RuntimeError("a source starts once; open another")
        self._monitor.on_event = on_event
        self._threads = [
            threading.Thread(target=self._guard, args=(work,), name=name, daemon=True) for name, work in works.items()
        ]
        for thread in self._threads:
            thread.start()

    def _guard(self, work: Callable[[], None]) -> None:
        """Show the unexpected end of a thread in the status, not only on a console."""
        run_to_end(work, self._stop.is_set, self._on_error)

    def _on_error(self, error: Exception) -> None:
        if self.is_live and is_out_of_memory(error):
            self._monitor.count_dropped("no memory")
            return
        reason = str(error) if isinstance(error, SourceError) else f"{type(error).__name__}: {error}"
        self._monitor.set_state("failed", reason)
        self._stop.set()


class ThreadedFrames(ThreadedSource):
    """A base of `FrameSource`s with one thread, which runs `_run`."""

    def __init__(self, waiting: str, thread_name: str) -> None:
        super().__init__(waiting)
        self._thread_name = thread_name
        self._on_frame: OnFrame = lambda frame: None

    def start(self, on_frame: OnFrame, on_event: OnEvent | None = None) -> None:
        """Start the thread; a live source may appear later."""
        self._on_frame = on_frame
        self._start_threads(on_event, **{self._thread_name: self._run})

    def _run(self) -> None:
        """Publish frames until the end or `_stop`."""
        raise NotImplementedError

    def _publish(self, frame: Frame, reason: str = "") -> None:
        """Publish a frame. reason: why something about the frames is not as it should be."""
        self._monitor.count_received()
        self._monitor.set_state("running", reason)
        self._on_frame(frame)
