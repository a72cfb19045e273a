"""Handles Ctrl-C (SIGINT) and SIGTERM."""

from __future__ import annotations

import os
import signal
import threading
import time
from types import FrameType

FORCE_AFTER_S = 1.0
EXIT_INTERRUPTED = 130


class InterruptHandler:
    """A context manager in which SIGINT and SIGTERM only set `is_requested`.

    Loops of the main thread poll it. It is a plain attribute: a lock that is acquired by a handler which interrupts
    another handler would deadlock, and an exception raised in a handler can leave anything half done. A second signal,
    `FORCE_AFTER_S` or more after the first, ends the process. Outside the main thread the handler does nothing.
    """

    def __init__(self) -> None:
        self.is_requested = False
        self._first_s = 0.0
        self._previous: dict[int, object] = {}

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.is_requested:
            if time.monotonic() - self._first_s > FORCE_AFTER_S:
                os._exit(EXIT_INTERRUPTED)
            return
        self.is_requested, self._first_s = True, time.monotonic()

    def raise_if_requested(self) -> None:
        """Raise KeyboardInterrupt after a signal; for places where nothing is half done."""
        if self.is_requested:
            raise KeyboardInterrupt

    def __enter__(self) -> InterruptHandler:
        if threading.current_thread() is threading.main_thread():  # Python allows no other to set handlers
            self._previous = {n: signal.signal(n, self._handle) for n in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
