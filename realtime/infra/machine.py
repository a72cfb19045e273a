"""Measures this process on its machine."""

from __future__ import annotations

import os


def measure_memory_mib() -> float:
    """Return the resident memory of this process in MiB; 0 where the system has no `/proc`."""
    try:
        with open("/proc/self/statm", "rb") as file:
            pages = int(file.read().split()[1])
    except (OSError, ValueError, IndexError):
        return 0.0
    return round(pages * os.sysconf("SC_PAGE_SIZE") / 2**20, 1)
