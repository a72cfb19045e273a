"""Provides channels between two threads: `Latest` keeps the newest value, `BoundedQueue` keeps them all.

Both are bounded and count the values that they drop. Imports nothing of ours.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")


class Latest(Generic[T]):
    """A slot of capacity one between two threads, in which a new value replaces an unread one.

    Replaced values are counted in `dropped`. Closing wakes every waiting thread; a closed slot (`is_closed`) returns
    None and ignores what is put.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._value: T | None = None
        self.is_closed = self._woken = False
        self.dropped = 0

    def put(self, value: T) -> None:
        """Store a value without blocking; an unread one is dropped and counted."""
        with self._changed:
            if self.is_closed:
                return
            if self._value is not None:
                self.dropped += 1
            self._value = value
            self._changed.notify_all()

    def put_when_empty(self, value: T) -> None:
        """Block until the last value was read, then store this one, so that none is dropped."""
        with self._changed:
            self._changed.wait_for(lambda: self._value is None or self.is_closed)
            if not self.is_closed:
                self._value = value
                self._changed.notify_all()

    def get(self, timeout_s: float | None = None) -> T | None:
        """Wait for a value and remove it; None after the timeout, `wake` or `close`."""
        with self._changed:
            self._changed.wait_for(lambda: self._value is not None or self.is_closed or self._woken, timeout_s)
            self._woken = False
            value, self._value = self._value, None
            self._changed.notify_all()
            return value

    def wake(self) -> None:
        """Let the current or next `get` return without a value, so that its thread does other work."""
        with self._changed:
            self._woken = True
            self._changed.notify_all()

    @property
    def has_value(self) -> bool:
        """Whether there is an unread value."""
        return self._value is not None

    def close(self) -> None:
        """Drop the value, wake all waiting threads and accept nothing more."""
        with self._changed:
            self.is_closed, self._value = True, None
            self._changed.notify_all()


class BoundedQueue(Generic[T]):
    """A bounded first-in-first-out queue, drained at once; a full one drops its oldest value, counted in `dropped`."""

    def __init__(self, capacity: int) -> None:
        self._lock = threading.Lock()
        self._values: deque[T] = deque(maxlen=capacity)
        self.dropped = 0

    def put(self, value: T) -> None:
        """Append a value without blocking."""
        with self._lock:
            self.dropped += len(self._values) == self._values.maxlen
            self._values.append(value)

    def drain(self) -> list[T]:
        """Remove and return all values, oldest first."""
        with self._lock:
            values = list(self._values)
            self._values.clear()
            return values

    def remove(self, value: T) -> bool:
        """Remove this very object; False if it was drained or dropped already."""
        with self._lock:
            for index, queued in enumerate(self._values):
                if queued is value:
                    del self._values[index]
                    return True
            return False
