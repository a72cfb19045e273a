"""Waiting for what threads do: looks again and again until a deadline, so that a test takes as long as it must."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


def eventually(condition: Callable[[], bool], what: str = "the condition", within_s: float = 10.0) -> None:
    """Return as soon as the condition holds; fail when it does not within the time."""
    until = time.monotonic() + within_s
    pause = threading.Event()
    while not condition():
        assert time.monotonic() < until, f"{what} did not come true within {within_s:g} s"
        pause.wait(0.005)
