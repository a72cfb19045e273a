"""What every source of frames or gaze is: two protocols, their status, their error. Imports nothing but our types."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, Protocol, runtime_checkable

from realtime.infra.clock import ClockStatus
from realtime.types import Frame, GazeSample

SourceState = Literal["connecting", "running", "waiting", "ended", "failed"]
"""connecting: never there yet, or gone. waiting: there, but it sends nothing. ended: played to its end.
failed: will not come back by itself."""


class SourceError(Exception):
    """A source that cannot be used as it was named; the message says what came, what was expected and what to do."""


@dataclass(frozen=True, slots=True)
class SourceStatus:
    """How a source is doing. `dropped` counts what was received and not handed on, by reason."""

    state: SourceState
    reason: str = ""
    received: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    clock: ClockStatus | None = None


OnFrame = Callable[[Frame], None]
OnGaze = Callable[[GazeSample], None]
OnEvent = Callable[[SourceStatus], None]
"""Called when state or reason change, on a thread of the source."""


@runtime_checkable
class FrameSource(Protocol):
    """Gives pictures of the scene. Started once; its threads are gone, or never call again, when `stop` returns."""

    def start(self, on_frame: OnFrame, on_event: OnEvent | None = None) -> None:
        """Begin; `on_frame` is called on a thread of the source and should return soon."""
        ...

    def stop(self) -> None:
        """End within a second; stopping twice, or what was never started, is fine. Not from a callback."""
        ...

    def status(self) -> SourceStatus:
        """How it is doing; from any thread."""
        ...


@runtime_checkable
class GazeSource(Protocol):
    """Gives looks of the eyes, every one of them, in the order they came. Otherwise like `FrameSource`."""

    def start(self, on_gaze: OnGaze, on_event: OnEvent | None = None) -> None:
        """Begin; `on_gaze` is called on a thread of the source and should return soon."""
        ...

    def stop(self) -> None:
        """End within a second."""
        ...

    def status(self) -> SourceStatus:
        """How it is doing; from any thread."""
        ...


class Tally:
    """A source's state and counts behind a lock, which tells of changes of state."""

    def __init__(self, state: SourceState = "connecting", reason: str = "") -> None:
        self._lock = threading.Lock()
        self._state: SourceState = state
        self._reason = reason
        self._received = 0
        self._dropped: Counter[str] = Counter()
        self.on_event: OnEvent | None = None

    def enter(self, state: SourceState, reason: str = "") -> None:
        """Take on a state; whoever listens hears of it if it is new. Final states are not left."""
        with self._lock:
            same = (state, reason) == (self._state, self._reason)
            if same or self._state in ("ended", "failed"):
                return
            self._state, self._reason = state, reason
        if self.on_event:
            self.on_event(self.status())

    def received(self, count: int = 1) -> None:
        """Count what came."""
        with self._lock:
            self._received += count

    def dropped(self, reason: str, count: int = 1) -> None:
        """Count what came and is not handed on."""
        if count:
            with self._lock:
                self._dropped[reason] += count

    def status(self, clock: ClockStatus | None = None) -> SourceStatus:
        """A copy of it all."""
        with self._lock:
            return SourceStatus(self._state, self._reason, self._received, dict(self._dropped), clock)
