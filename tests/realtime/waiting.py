"""Waits for other threads, with limits that only an error reaches: no test measures the speed of the machine."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator

PATIENCE_S = 60.0
"""Limit of a wait, which ends as soon as its event comes; a machine that is slow and busy needs a part of it."""
TICK_S = 0.005


def eventually(condition: Callable[[], object], what: str = "the condition", within_s: float = PATIENCE_S) -> None:
    """Wait until the condition holds; fail when it does not within the time."""
    until = time.monotonic() + within_s
    pause = threading.Event()
    while not condition():
        assert time.monotonic() < until, f"{what} did not come true within {within_s:g} s"
        pause.wait(TICK_S)


@contextlib.contextmanager
def promptly(limit_s: float = PATIENCE_S) -> Iterator[None]:
    """Fail when the block takes longer.

    For a block that must not wait for something: what it must not wait for has to take longer than the limit.
    """
    begun_s = time.monotonic()
    yield
    taken_s = time.monotonic() - begun_s
    assert taken_s < limit_s, f"took {taken_s:.2f} s; expected < {limit_s:g} s"


def find_threads() -> set[threading.Thread]:
    """Find the threads that run and ought to end; not that of pycares, which closes collected resolvers."""
    return {thread for thread in threading.enumerate() if "_run_safe_shutdown_loop" not in thread.name}
