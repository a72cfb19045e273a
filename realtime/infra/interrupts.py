"""Ctrl-C and a polite kill, and how a run that cannot go on says so."""

from __future__ import annotations

import os
import signal
import threading
import time
from types import FrameType, TracebackType

INSIST_S = 1.0
INTERRUPTED = 130


class InterruptHandler:
    """In a `with` block, SIGINT and SIGTERM ask the main thread to stop.

    They only set `asked`, for loops that look at it. A plain attribute: a lock taken by a handler that interrupts
    another handler would wait for itself for ever, and an exception out of a handler can leave anything half done.
    Whoever insists, `INSIST_S` after the first signal, ends the process.
    """

    def __init__(self) -> None:
        self.asked = False
        self._first_s = 0.0
        self._before: dict[int, object] = {}

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            if time.monotonic() - self._first_s > INSIST_S:
                os._exit(INTERRUPTED)
            return
        self.asked, self._first_s = True, time.monotonic()

    def check(self) -> None:
        """Raise KeyboardInterrupt if it was asked for; for places where nothing is half done."""
        if self.asked:
            raise KeyboardInterrupt

    def __enter__(self) -> InterruptHandler:
        if threading.current_thread() is threading.main_thread():  # no other may listen to signals
            self._before = {n: signal.signal(n, self._handle) for n in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
