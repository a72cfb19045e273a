"""Notices a thread that hangs: it has worked on one item for longer than its deadline."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from realtime.infra.clock import now_ns


class Heartbeat:
    """Marks the items of one thread, which has a name and a deadline for each of them. Read from any thread.

    A thread that waits for its next item works on none, and cannot miss a deadline.
    """

    def __init__(self, name: str, deadline_s: float, item: str = "frame") -> None:
        """item: what the thread works on, for messages."""
        self.name, self.deadline_s = name, deadline_s
        self._item = item
        self._since_ns: int | None = None

    @contextmanager
    def working(self) -> Iterator[None]:
        """Mark the work on one item; on the thread itself."""
        self._since_ns = now_ns()
        try:
            yield
        finally:
            self._since_ns = None

    def busy_ns(self, at_ns: int) -> int:
        """Return how long the present item has lasted at host time `at_ns`; 0 while the thread waits."""
        since_ns = self._since_ns
        return 0 if since_ns is None else max(0, at_ns - since_ns)

    def problem(self, at_ns: int) -> str:
        """Return the error of a thread that hangs; empty for any other. The text does not change with time."""
        deadline_s = self.deadline_s
        if self.busy_ns(at_ns) <= deadline_s * 1e9:
            return ""
        return f"{self.name}: one {self._item} takes longer than {deadline_s:.1f} s"
