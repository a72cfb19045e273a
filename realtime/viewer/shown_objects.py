"""Counts how long each object was shown since a recording began."""

from __future__ import annotations

import threading

from realtime.pipeline.observers import FrameResult

MAX_GAP_NS = 500_000_000
"""A longer time between two frames is not counted: it is unknown which object was shown then."""


class ShownObjects:
    """A thread-safe counter of the seconds that each object was shown; empty until `start`."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._is_counting = False
        self._shown_ns: dict[int, int] = {}
        self._changed: dict[int, None] = {}
        self._last: tuple[int, int] | None = None

    def start(self) -> None:
        """Start counting for a new recording; objects of the last one are removed."""
        with self._lock:
            self._is_counting, self._last = True, None
            self._shown_ns.clear()
            self._changed.clear()

    def stop(self) -> None:
        """Stop counting; the objects can still be named."""
        self._is_counting = False

    def add_result(self, result: FrameResult) -> bool:
        """Count a frame with its mask; True for an object that is new in this recording."""
        message, at_ns = result.result, result.frame.captured_ns
        if not self._is_counting or message is None or message.state == "lost" or message.is_guess:
            self._last = None
            return False
        with self._lock:
            is_new = message.object not in self._shown_ns
            last_object, last_ns = self._last or (None, 0)
            if last_object != message.object or not 0 < at_ns - last_ns <= MAX_GAP_NS:
                last_ns = at_ns
            self._shown_ns[message.object] = self._shown_ns.get(message.object, 0) + at_ns - last_ns
            self._changed[message.object] = None
            self._last = message.object, at_ns
            return is_new

    def has_object(self, object_id: int) -> bool:
        """Whether an object was shown in this recording."""
        return object_id in self._shown_ns

    def durations(self) -> list[tuple[int, float]]:
        """Return (object, seconds shown) of all objects in the order in which they appeared."""
        with self._lock:
            return [(object_id, round(ns / 1e9, 2)) for object_id, ns in self._shown_ns.items()]

    def pop_changes(self) -> list[tuple[int, float]]:
        """Return (object, seconds shown) of the objects that changed since the last call."""
        with self._lock:
            changed, self._changed = list(self._changed), {}
            return [(object_id, round(self._shown_ns[object_id] / 1e9, 2)) for object_id in changed]
