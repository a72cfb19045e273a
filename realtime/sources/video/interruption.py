"""Ends FFmpeg's waits for the network as soon as a source stops.

While FFmpeg waits, it asks PyAV several times a second whether the time is up, and PyAV compares `time.monotonic()`
with its timeout. That call is the only way in; without it, a stopped thread would end at the timeout.
"""

from __future__ import annotations

import itertools
import threading
import time

import av.container.core

_LEAP_S = 1e6
_thread = threading.local()
_leaps = itertools.count(1)


class _InterruptibleTime:
    """Stands in for the module `time` in PyAV: on a thread that is to stop, each reading is far after the last."""

    @staticmethod
    def monotonic() -> float:
        stop: threading.Event | None = getattr(_thread, "stop", None)
        return time.monotonic() + (_LEAP_S * next(_leaps) if stop is not None and stop.is_set() else 0.0)


def interrupt_on(stop: threading.Event) -> None:
    """Let every wait of FFmpeg on this thread end with an error once `stop` is set."""
    _thread.stop = stop
    av.container.core.time = _InterruptibleTime  # type: ignore[attr-defined]
