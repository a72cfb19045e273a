"""Waits for threads and limits durations, independent of the machine's load."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator

TICK_S = 0.005


def eventually(condition: Callable[[], bool], what: str = "the condition", within_s: float = 10.0) -> None:
    """Wait until the condition holds; fail when it does not within the time."""
    until = time.monotonic() + within_s
    pause = threading.Event()
    while not condition():
        assert time.monotonic() < until, f"{what} did not come true within {within_s:g} s"
        pause.wait(TICK_S)


@contextlib.contextmanager
def quick(limit_s: float) -> Iterator[None]:
    """Fail when the block takes longer, not counting the time that the machine gave to others.

    A sleeping thread measures that time by how late it wakes.
    """
    done, kept_s = threading.Event(), [0.0]

    def sleep() -> None:
        at_s = time.monotonic()
        while not done.wait(TICK_S):
            now_s = time.monotonic()
            kept_s[0] += max(0.0, now_s - at_s - TICK_S)
            at_s = now_s
        kept_s[0] += max(0.0, time.monotonic() - at_s - TICK_S)

    sleeper = threading.Thread(target=sleep, name="sleeper")
    begun_s = time.monotonic()
    sleeper.start()
    try:
        yield
    finally:
        taken_s = time.monotonic() - begun_s
        done.set()
        sleeper.join()
    assert taken_s - kept_s[0] < limit_s, (
        f"took {taken_s:.2f} s, {kept_s[0]:.2f} s of it the machine's; expected < {limit_s:g} s"
    )
