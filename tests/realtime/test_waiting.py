"""What the tests measure by: a wait is found whatever the machine does, and a busy machine is no wait."""

import threading

import pytest

from tests.realtime import waiting
from tests.realtime.waiting import eventually, quick


def test_who_waits_is_not_quick():
    with pytest.raises(AssertionError, match=r"expected < 0\.1 s"), quick(0.1):
        threading.Event().wait(0.3)


def test_what_the_machine_takes_is_not_counted(monkeypatch):
    clock = iter(range(1000))
    monkeypatch.setattr(waiting.time, "monotonic", lambda: float(next(clock)))  # a second goes by at every look
    ticks = threading.Semaphore(0)

    class Ticking(threading.Event):
        def wait(self, timeout=None):
            ticks.release()
            return super().wait(0.001)

    monkeypatch.setattr(waiting.threading, "Event", Ticking)
    with quick(5.0):
        for _ in range(10):
            ticks.acquire()


def test_what_never_comes_true_is_named():
    with pytest.raises(AssertionError, match=r"the moon did not come true within 0\.01 s"):
        eventually(lambda: False, "the moon", 0.01)
