"""What holds for every test."""

from __future__ import annotations

import sys
import threading
import time

from hypothesis import HealthCheck, settings

# How long an example takes says more about the machine than about us.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")

LEFT_S = 45.0


def pytest_sessionfinish() -> None:
    """Wait for threads that a test left behind on purpose, such as a slow encoder's, and name those that stay.

    A daemon thread that is inside C++ when the interpreter ends brings the whole process down with it.
    """
    until_s = time.monotonic() + LEFT_S
    for thread in threading.enumerate():
        if thread.daemon and thread is not threading.current_thread():
            thread.join(max(0.0, until_s - time.monotonic()))
            if thread.is_alive():
                print(f"\nleft running: {thread.name}", file=sys.stderr)
