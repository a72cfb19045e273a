"""Which objects were on show since a recording began, and for how long, for those who name them meanwhile."""

from __future__ import annotations

import threading

from realtime.pipeline.observers import FrameResult

GAP_NS = 500_000_000
"""After so long without a picture, nobody knows what was on show."""


class ShownObjects:
    """Empty until `begin`; any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._on = False
        self._shown_ns: dict[int, int] = {}
        self._changed: dict[int, None] = {}
        self._last: tuple[int, int] | None = None

    def begin(self) -> None:
        """A recording begins; those of the last one are forgotten."""
        with self._lock:
            self._on, self._last = True, None
            self._shown_ns.clear()
            self._changed.clear()

    def end(self) -> None:
        """It ends; its objects can still be named."""
        self._on = False

    def add(self, shown: FrameResult) -> bool:
        """Count a frame with its mask; True for an object that is new here."""
        message, at_ns = shown.message, shown.frame.captured_ns
        if not self._on or message is None or message.state == "lost":
            self._last = None
            return False
        with self._lock:
            new = message.object not in self._shown_ns
            goes_on = self._last is not None and self._last[0] == message.object
            since_ns = at_ns - self._last[1] if self._last is not None and goes_on else 0
            more_ns = since_ns if 0 < since_ns <= GAP_NS else 0
            self._shown_ns[message.object] = self._shown_ns.get(message.object, 0) + more_ns
            self._changed[message.object] = None
            self._last = message.object, at_ns
            return new

    def knows(self, thing: int) -> bool:
        """Whether an object is one of them."""
        return thing in self._shown_ns

    def everything(self) -> list[tuple[int, float]]:
        """All objects in the order in which they came, and for how many seconds each was on show."""
        with self._lock:
            return [(thing, round(ns / 1e9, 2)) for thing, ns in self._shown_ns.items()]

    def changes(self) -> list[tuple[int, float]]:
        """Likewise, those that have changed since this was asked last."""
        with self._lock:
            changed, self._changed = list(self._changed), {}
            return [(thing, round(self._shown_ns[thing] / 1e9, 2)) for thing in changed]
