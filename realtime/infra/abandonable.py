"""Calls native code, which cannot be interrupted, on a thread that is left behind when a call hangs."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable
from typing import Any, TypeVar, cast

T = TypeVar("T")
TICK_S = 0.05


class CallAbandoned(Exception):
    """A call has not returned within its limit; its thread is left behind."""


class AbandonableThread:
    """Calls functions on a daemon thread, one at a time, and begins a new thread after a call that hangs.

    The thread has the priority of the one that made the first call. One caller at a time.
    """

    def __init__(self, name: str, is_cancelled: Callable[[], bool] = lambda: False) -> None:
        """is_cancelled: polled while a call lasts; when true, the call is abandoned."""
        self._name, self._is_cancelled = name, is_cancelled
        self._calls: queue.SimpleQueue[Callable[[], Any] | None] | None = None
        self._thread: threading.Thread | None = None
        self._results: queue.SimpleQueue[tuple[Any, BaseException | None]] = queue.SimpleQueue()

    def call(self, function: Callable[[], T], limit_s: float) -> T:
        """Return or raise what the function does; raises `CallAbandoned` when it lasts longer.

        Raises `MemoryError` where the thread has ended, as it does when there is no memory for the result.

        Only time in which this process runs counts: not that of a stopped process, or of a machine that slept.
        """
        if self._calls is None:
            calls: queue.SimpleQueue[Callable[[], Any] | None] = queue.SimpleQueue()
            self._results = queue.SimpleQueue()
            arguments = calls, self._results
            self._thread = threading.Thread(target=_serve, args=arguments, name=self._name, daemon=True)
            self._thread.start()
            self._calls = calls
        self._calls.put(function)
        try:
            result, error = self._await_result(limit_s)
        except BaseException:  # the thread ends when its call returns; nothing may take its result for another one's
            self.close()
            raise
        if error is not None:
            raise error
        return cast(T, result)

    def _await_result(self, limit_s: float) -> tuple[Any, BaseException | None]:
        for _ in range(max(1, round(limit_s / TICK_S))):
            with contextlib.suppress(queue.Empty):
                return self._results.get(timeout=TICK_S)
            if self._is_cancelled():
                raise CallAbandoned(f"{self._name} was left behind: nobody waits for it any more")
            if self._thread is not None and not self._thread.is_alive() and self._results.empty():
                raise MemoryError(f"{self._name} has ended")
        raise CallAbandoned(f"{self._name} has not returned within {limit_s:.1f} s")

    def close(self) -> None:
        """Let the thread end once it is idle."""
        if self._calls is not None:
            self._calls.put(None)
            self._calls = None


def _serve(
    calls: queue.SimpleQueue[Callable[[], Any] | None], results: queue.SimpleQueue[tuple[Any, BaseException | None]]
) -> None:
    while (function := calls.get()) is not None:
        try:
            results.put((function(), None))
        except BaseException as error:  # which the caller raises
            results.put((None, error))
        del function  # and what it holds, such as a picture
