"""Defines what holds for every test."""

from __future__ import annotations

import faulthandler
import os
import sys
import threading
import time
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

# The duration of an example depends on the machine more than on the code.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")

THREADS_S = 45.0
HANG_S = 1200.0
"""Limit of one test, and of the end of the run, for hangs that the timeout of pytest-timeout cannot interrupt."""
_stderr = sys.stderr


def pytest_configure(config: pytest.Config) -> None:
    """Keep the real stderr, which is captured during a test."""
    global _stderr
    with config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
        _stderr = os.fdopen(os.dup(2), "w")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol() -> Iterator[None]:
    """End the process, with a traceback of every thread, when a test hangs where no exception reaches it."""
    faulthandler.dump_traceback_later(HANG_S, exit=True, file=_stderr)
    if "av" in sys.modules:  # see realtime/sources/video/ffmpeg_log.py: the import of other tests may turn it on
        sys.modules["av"].logging.set_level(None)
    result = yield
    faulthandler.cancel_dump_traceback_later()
    return result


def pytest_sessionfinish() -> None:
    """Wait for daemon threads that tests left, such as a slow encoder's, and print those that remain.

    A daemon thread that is inside C++ when the interpreter ends aborts the whole process.
    """
    until_s = time.monotonic() + THREADS_S
    for thread in threading.enumerate():
        if thread.daemon and thread is not threading.current_thread():
            thread.join(max(0.0, until_s - time.monotonic()))
            if thread.is_alive():
                print(f"\nleft running: {thread.name}", file=sys.stderr)
    faulthandler.dump_traceback_later(HANG_S, exit=True, file=_stderr)  # other threads are joined without a limit
