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

# Tests in several processes share the cores, which each process's numpy and torch would use all of, spinning.
_workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
if _workers > 1:
    for _library in ("OMP", "OPENBLAS", "MKL"):
        os.environ.setdefault(f"{_library}_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // _workers)))

# The duration of an example depends on the machine more than on the code.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")

THREADS_S = 45.0
HANG_S = 1200.0
"""Limit of one test, and of the end of the run, for hangs that the timeout of pytest-timeout cannot interrupt."""
_stderr = sys.stderr
_runner_threads: set[threading.Thread] = set()
"""Threads that were there before the first test, such as those of pytest-xdist, which outlive the tests."""


def pytest_configure(config: pytest.Config) -> None:
    """Keep the real stderr, which is captured during a test."""
    global _stderr
    with config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
        _stderr = os.fdopen(os.dup(2), "w")


@pytest.hookimpl(tryfirst=True)
def pytest_collection() -> None:
    """Remember the threads of the test runner."""
    _runner_threads.update(threading.enumerate())


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
    for thread in set(threading.enumerate()) - _runner_threads:
        if thread.daemon:
            thread.join(max(0.0, until_s - time.monotonic()))
            if thread.is_alive():
                print(f"\nleft running: {thread.name}", file=sys.stderr)
    faulthandler.dump_traceback_later(HANG_S, exit=True, file=_stderr)  # other threads are joined without a limit
