"""Threads whose work may wait let others go first."""

from __future__ import annotations

import contextlib
import os
import sys
import threading


def yield_to_others(nice: int) -> None:
    """Give the calling thread this niceness, 0 to 19; nothing happens where a system does not let it."""
    if sys.platform == "linux":  # elsewhere priorities belong to processes
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), nice)
