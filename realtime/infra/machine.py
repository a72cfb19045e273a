"""Measures this process on its machine, and finds the machine's GPUs."""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys


def measure_memory_mib() -> float:
    """Return the resident memory of this process in MiB; 0 where the system has no `/proc`."""
    try:
        with open("/proc/self/statm", "rb") as file:
            pages = int(file.read().split()[1])
    except (OSError, ValueError, IndexError):
        return 0.0
    return round(pages * os.sysconf("SC_PAGE_SIZE") / 2**20, 1)


M_ARENA_MAX, MAX_ARENAS = -8, 2


def limit_memory_arenas() -> None:
    """Let the threads of this process share few of glibc's memory arenas; call it before they start.

    glibc makes up to eight arenas for each core, and none returns what another thread freed in it: with the dozens of
    threads of an engine a run grew by 10 MiB a minute, and by nothing with two arenas. Small blocks come from the
    threads' own caches all the same. `MALLOC_ARENA_MAX` in the environment has priority; elsewhere it does nothing.
    """
    if sys.platform == "linux" and "MALLOC_ARENA_MAX" not in os.environ:
        with contextlib.suppress(OSError, AttributeError):  # another C library
            ctypes.CDLL(None).mallopt(M_ARENA_MAX, MAX_ARENAS)


def count_nvidia_gpus() -> int:
    """Return the number of GPUs that NVIDIA's driver lets this process use; 0 without a driver."""
    count = ctypes.c_int(0)
    try:
        driver = ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
        if driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(count)):
            return 0
    except (OSError, AttributeError):
        return 0
    return count.value
