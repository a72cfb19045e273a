"""Limits how many threads work at a time, so that many of them do not slow each other down."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager


class WorkSlots:
    """Lets `count` threads work at a time, in the order in which they asked.

    Python runs one thread at a time, and each call into a library ends in a wait for that turn. Threads that are as
    many as the cores need few waits; with ten times as many, one step of each takes a hundred times as long.
    """

    def __init__(self, count: int) -> None:
        self._lock = threading.Lock()
        self._free = count
        self._queue: deque[threading.Event] = deque()
        self._holding = threading.local()

    @property
    def has_waiting(self) -> bool:
        """Whether a thread waits for a slot, so that optional work should not use one."""
        return bool(self._queue)

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Wait for a slot, and hold it."""
        self._acquire(first=False)
        try:
            yield
        finally:
            self._release()

    @contextmanager
    def lend(self) -> Iterator[None]:
        """Let others have this thread's slot while it waits for something else; nothing for a thread without one."""
        if not getattr(self._holding, "slot", False):
            yield
            return
        self._release()
        try:
            yield
        finally:
            self._acquire(first=True)  # its step has begun, and others have waited less

    def _acquire(self, *, first: bool) -> None:
        turn = None
        with self._lock:
            if self._free and not self._queue:
                self._free -= 1
            else:
                turn = threading.Event()
                (self._queue.appendleft if first else self._queue.append)(turn)
        if turn is not None:
            turn.wait()
        self._holding.slot = True

    def _release(self) -> None:
        self._holding.slot = False
        with self._lock:
            if self._queue:
                self._queue.popleft().set()  # the slot passes to it
            else:
                self._free += 1
