"""Sets the scheduling priority of threads, and leaves calls that hang."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Callable


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
