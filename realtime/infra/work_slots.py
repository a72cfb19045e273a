"""Limits how many threads work at a time, so that many of them do not slow each other down."""

from __future__ import annotations

import heapq
import itertools
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from realtime.infra.clock import now_ns

_RETURNING = -1
"""The tag of a thread whose work has begun: it comes before all others."""


class WorkSlots:
    """Lets `count` threads work at a time, each for an equal share of the time where they want more than there is.

    Python runs one thread at a time, and each call into a library ends in a wait for that turn. Threads that are as
    many as the cores need few waits; with ten times as many, one step of each takes a hundred times as long.
    The order is that of start-time fair queueing (Goyal, Vin & Cheng, "Start-time Fair Queueing", 1996): a thread's
    work is tagged with the virtual time at which its last one ended, or with the present one where that is later, and
    the smallest tag comes first. One with long or many works therefore waits for the others, who wait for one of its
    works at most; equal ones come in the order in which they asked.
    """

    def __init__(self, count: int) -> None:
        self._lock = threading.Lock()
        self._free = count
        self._queue: list[tuple[int, int, threading.Event]] = []  # a heap: tag, ticket
        self._tickets = itertools.count()
        self._virtual_ns = 0  # the largest tag that began
        self._thread = threading.local()

    @property
    def has_waiting(self) -> bool:
        """Whether a thread waits for a slot, so that optional work should not use one."""
        return bool(self._queue)

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Wait for a slot, and hold it."""
        self._acquire(max(self._virtual_ns, getattr(self._thread, "ended_ns", 0)))
        try:
            yield
        finally:
            self._release()

    @contextmanager
    def lend(self) -> Iterator[None]:
        """Let others have this thread's slot while it waits for something else; nothing for a thread without one."""
        if not getattr(self._thread, "has_slot", False):
            yield
            return
        self._release()
        try:
            yield
        finally:
            self._acquire(_RETURNING)  # its step has begun, and others have waited less

    def _acquire(self, tag: int) -> None:
        place = tag, next(self._tickets), threading.Event()
        with self._lock:
            heapq.heappush(self._queue, place)
            self._assign_free()
        try:
            place[-1].wait()
            if tag != _RETURNING:
                self._thread.ended_ns = tag
                self._virtual_ns = max(self._virtual_ns, tag)
            self._thread.begun_ns = now_ns()
            self._thread.has_slot = True
        except BaseException:  # such as no memory; no other thread may wait for this one
            with self._lock:
                if place in self._queue:
                    self._queue.remove(place)
                    heapq.heapify(self._queue)
                else:
                    self._free += 1
                self._assign_free()
            raise

    def _release(self) -> None:
        if not getattr(self._thread, "has_slot", False):
            return  # it was lent, and could not be acquired again
        self._thread.has_slot = False
        with self._lock:
            self._free += 1
            self._assign_free()
        self._thread.ended_ns += now_ns() - self._thread.begun_ns

    def _assign_free(self) -> None:
        """Assign free slots to the threads that wait; under the lock."""
        while self._free and self._queue:
            self._free -= 1
            heapq.heappop(self._queue)[-1].set()
