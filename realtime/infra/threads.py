"""Sets the scheduling priority of threads, leaves calls that hang, and repeats what ended for lack of memory."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
import threading
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
RESTART_S, MEMORY_S = 0.05, 0.2
"""Pauses before a body that failed is run again, and before a call that had no memory is made again."""
OPENCV_NO_MEMORY = -4
NO_MEMORY_TEXTS = ("not enough memory", "bad_alloc", "bad allocation", "Cannot allocate memory", "start new thread")
"""Of errors without a type or number of their own: of Zstandard, C++ libraries, FFmpeg and Python's threads."""


def lower_priority(nice: int) -> None:
    """Set the calling thread's niceness, 0 to 19; does nothing where the system does not allow it."""
    if sys.platform == "linux":  # elsewhere priorities belong to processes
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), nice)


def call_with_deadline(call: Callable[[], None], deadline_s: float, name: str) -> bool:
    """Call on a daemon thread of this name, and return whether it has returned in time; else it is left to itself."""
    thread = threading.Thread(target=call, name=name, daemon=True)
    thread.start()
    thread.join(deadline_s)
    return not thread.is_alive()


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error, or the one that it explains, is a lack of memory, in any library."""
    return (
        isinstance(error, MemoryError)
        or getattr(error, "errno", None) == errno.ENOMEM
        or getattr(error, "code", None) == OPENCV_NO_MEMORY
        or any(text in str(error) for text in NO_MEMORY_TEXTS)
        or (error.__context__ is not None and is_out_of_memory(error.__context__))
    )


def run_to_end(body: Callable[[], None], has_ended: Callable[[], bool], on_error: Callable[[Exception], None]) -> None:
    """Run a thread's body until it returns or `has_ended`, again after each error, such as no memory.

    Without memory even the handling of an error fails; then that is left out.
    """
    while not has_ended():
        try:
            try:
                return body()
            except Exception as error:
                on_error(error)
            time.sleep(RESTART_S)
        except Exception:  # noqa: S112 - a log line needs memory, too
            continue


def retry_without_memory(call: Callable[[], T], stopping: threading.Event) -> T:
    """Call until there is memory for it, or `stopping` is set; raises all other errors."""
    while True:
        try:
            return call()
        except Exception as error:
            if not is_out_of_memory(error) or stopping.wait(MEMORY_S):
                raise
