"""Runs the calls of an engine where they can be left behind, by deadlines that follow from their last durations."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Hashable
from typing import Literal, TypeVar

from realtime.infra.abandonable import AbandonableThread
from realtime.infra.clock import now_ns
from realtime.infra.heartbeat import Heartbeat

T = TypeVar("T")
CallKind = Literal["encode", "decode"]
FIRST_DEADLINE_S, FIRST_HANG_S = 5.0, 30.0
"""Of the first calls for a shape, which compile its graph: when one is reported, and when it is left behind."""
DEADLINE_S, DEADLINE_FACTOR = 0.7, 4
"""Later both at once: at least so long, and so many times the slowest of the last calls, as the machine may be busy."""
KNOWN_CALLS = 8
FAILING_S, MIN_FAILURES = 0.3, 3
"""Calls fail, and not one of them, when at least so many in a row have failed, for at least this time."""


class WatchedCalls:
    """Runs the calls of one kind and knows how long they usually take. One caller at a time."""

    def __init__(self, kind: CallKind, item: str, is_cancelled: Callable[[], bool]) -> None:
        """item: what a call works on, for messages."""
        self.kind, self._item, self.heartbeat = kind, item, Heartbeat(kind, FIRST_DEADLINE_S, item)
        self._thread = AbandonableThread(f"gazecast-engine-{kind}", is_cancelled)
        self.hanging: threading.Event | None = None
        """The end of a call of the present engine that was left behind; None while none hangs."""
        self._hang_s = FIRST_HANG_S
        self.forget()

    def forget(self) -> None:
        """Forget durations, failures and a call that hangs, as of an engine that was replaced."""
        self._durations_ns: deque[int] = deque(maxlen=KNOWN_CALLS)
        self._shapes: set[Hashable] = set()
        self._failures, self._failing_since_ns = 0, 0
        self.hanging = None

    def run(self, function: Callable[[], T], shape: Hashable, *, can_abandon: bool) -> T:
        """Call, on a thread of its own where it can be abandoned; raises `CallAbandoned` for a call that hangs."""
        is_known = shape in self._shapes
        self.heartbeat.deadline_s, hang_s = FIRST_DEADLINE_S, FIRST_HANG_S
        if is_known and self._durations_ns:
            self.heartbeat.deadline_s = hang_s = max(DEADLINE_S, DEADLINE_FACTOR * max(self._durations_ns) / 1e9)
        self._hang_s = hang_s
        begun_ns = now_ns()
        with self.heartbeat.working():
            result = self._thread.call(function, hang_s) if can_abandon else function()
        if is_known:
            self._durations_ns.append(now_ns() - begun_ns)
        self._shapes.add(shape)
        self._failures = 0
        return result

    def is_overdue(self, at_ns: int) -> bool:
        """Return whether the present call, on its caller's thread, has lasted so long that it hangs."""
        return self.heartbeat.busy_ns(at_ns) > self._hang_s * 1e9

    def leave_behind(self) -> None:
        """Forget the present call, whose thread hangs: the heartbeat of the next one is another."""
        self.heartbeat = Heartbeat(self.heartbeat.name, FIRST_DEADLINE_S, self._item)

    def count_failure(self) -> None:
        """Count a call that failed."""
        if not self._failures:
            self._failing_since_ns = now_ns()
        self._failures += 1

    @property
    def is_failing(self) -> bool:
        """Whether all calls have failed for some time."""
        return self._failures >= MIN_FAILURES and now_ns() - self._failing_since_ns >= FAILING_S * 1e9

    @property
    def works(self) -> bool:
        """Whether none hangs, and not all fail."""
        return self.hanging is None and not self.is_failing

    def close(self) -> None:
        """Let the thread end."""
        self._thread.close()
