"""A memory cgroup with a limit, of either version, where this user may make one."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

ROOTS = (("/sys/fs/cgroup", "memory.max", "max"), ("/sys/fs/cgroup/memory", "memory.limit_in_bytes", "-1"))
REMOVE_S = 10.0


class MemoryGroup:
    """Limits what its processes may allocate from when they are added on."""

    def __init__(self) -> None:
        """Make a group; raises `OSError` where this user may not."""
        for root, limit, unlimited in ROOTS:
            self._path, self._limit, self._unlimited = Path(root, f"gazecast-{os.getpid()}"), limit, unlimited
            with contextlib.suppress(OSError):
                self._path.mkdir(exist_ok=True)
                if (self._path / limit).exists():
                    return
                self._path.rmdir()
        raise OSError("this user may not make a memory cgroup")

    def limit(self, pid: int, size: int) -> None:
        """Add a process, which may allocate so many bytes more."""
        (self._path / self._limit).write_text(str(size))
        (self._path / "cgroup.procs").write_text(str(pid))

    def close(self) -> None:
        """Lift the limit, move the processes out and remove the group."""
        (self._path / self._limit).write_text(self._unlimited)
        for pid in (self._path / "cgroup.procs").read_text().split():
            with contextlib.suppress(OSError):
                (self._path.parent / "cgroup.procs").write_text(pid)
        until = time.monotonic() + REMOVE_S
        while self._path.exists() and time.monotonic() < until:
            with contextlib.suppress(OSError):
                self._path.rmdir()
            time.sleep(0.02)
