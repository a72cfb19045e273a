"""What lies between two threads: `Latest`, where the newest wins, and `BoundedQueue`, where nothing is conflated.

Both are bounded and count what they lose. Imports nothing of ours.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")


class Latest(Generic[T]):
    """A slot between two threads that never queues: putting replaces what was not taken and counts it.

    Closing wakes every waiter; a closed slot gives None and ignores what is put.
    """

    def __init__(self) -> None:
        self._ready = threading.Condition()
        self._value: T | None = None
        self._closed = self._woken = False
        self._replaced = 0

    def put(self, value: T) -> None:
        """Offer a value; the one that still lies there is dropped and counted."""
        with self._ready:
            if self._closed:
                return
            if self._value is not None:
                self._replaced += 1
            self._value = value
            self._ready.notify_all()

    def put_when_empty(self, value: T) -> None:
        """Wait until the last value was taken, then offer this one: for work where time does not press."""
        with self._ready:
            self._ready.wait_for(lambda: self._value is None or self._closed)
            if not self._closed:
                self._value = value
                self._ready.notify_all()

    def take(self, timeout_s: float | None = None) -> T | None:
        """Wait for a value and remove it; None after the timeout, when woken without one or when closed."""
        with self._ready:
            self._ready.wait_for(lambda: self._value is not None or self._closed or self._woken, timeout_s)
            self._woken = False
            value, self._value = self._value, None
            self._ready.notify_all()
            return value

    def wake(self) -> None:
        """Let whoever waits, or comes next, go on without a value: there is something else to do."""
        with self._ready:
            self._woken = True
            self._ready.notify_all()

    @property
    def closed(self) -> bool:
        """Whether nothing will come any more."""
        with self._ready:
            return self._closed

    @property
    def waiting(self) -> bool:
        """Whether a value lies there."""
        with self._ready:
            return self._value is not None

    @property
    def replaced(self) -> int:
        """How many values were dropped unseen."""
        with self._ready:
            return self._replaced

    def close(self) -> None:
        """Wake all waiters for good."""
        with self._ready:
            self._closed, self._value = True, None
            self._ready.notify_all()


class BoundedQueue(Generic[T]):
    """A bounded queue that is emptied at once; when it is full the oldest goes and is counted."""

    def __init__(self, most: int) -> None:
        self._lock = threading.Lock()
        self._values: deque[T] = deque(maxlen=most)
        self._lost = 0

    def put(self, value: T) -> None:
        """Add a value at the end."""
        with self._lock:
            self._lost += len(self._values) == self._values.maxlen
            self._values.append(value)

    def take_all(self) -> list[T]:
        """Remove and return everything, oldest first."""
        with self._lock:
            values = list(self._values)
            self._values.clear()
            return values

    def withdraw(self, value: T) -> bool:
        """Take back this very value; False if it was taken, or lost."""
        with self._lock:
            for place, each in enumerate(self._values):
                if each is value:
                    del self._values[place]
                    return True
            return False

    @property
    def lost(self) -> int:
        """How many values were dropped unseen."""
        with self._lock:
            return self._lost
