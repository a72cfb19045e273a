"""What every source of frames or gaze is: two protocols, their status, their error. Imports nothing but our types."""

from __future__ import annotations

import threading
from collections import Counter

from realtime.types import ClockStatus, OnEvent, SourceState, SourceStatus


class SourceMonitor:
    """A source's state and counts behind a lock, which tells of changes of state."""

    def __init__(self, state: SourceState = "connecting", reason: str = "") -> None:
        self._lock = threading.Lock()
        self._state: SourceState = state
        self._reason = reason
        self._received = 0
        self._dropped: Counter[str] = Counter()
        self.on_event: OnEvent | None = None

    def set_state(self, state: SourceState, reason: str = "") -> None:
        """Take on a state; whoever listens hears of it if it is new. Final states are not left."""
        with self._lock:
            same = (state, reason) == (self._state, self._reason)
            if same or self._state in ("ended", "failed"):
                return
            self._state, self._reason = state, reason
        if self.on_event:
            self.on_event(self.status())

    def count_received(self, count: int = 1) -> None:
        """Count what came."""
        with self._lock:
            self._received += count

    def count_dropped(self, reason: str, count: int = 1) -> None:
        """Count what came and is not handed on."""
        if count:
            with self._lock:
                self._dropped[reason] += count

    def status(self, clock: ClockStatus | None = None) -> SourceStatus:
        """A copy of it all."""
        with self._lock:
            return SourceStatus(self._state, self._reason, self._received, dict(self._dropped), clock)
