"""Tests that a wait ends with its event, and that one which lasts too long is reported."""

from types import SimpleNamespace

import pytest

from tests.realtime import waiting
from tests.realtime.waiting import eventually, promptly


def test_a_wait_ends_as_soon_as_its_condition_holds(monkeypatch):
    seconds = iter(range(1000))  # each reading of the clock is a second later
    monkeypatch.setattr(waiting, "time", SimpleNamespace(monotonic=lambda: float(next(seconds))))
    answers = iter([False] * 9 + [True])
    eventually(lambda: next(answers), within_s=10)
    assert list(answers) == []


def test_a_condition_that_never_holds_is_named():
    with pytest.raises(AssertionError, match=r"the moon did not come true within 0\.01 s"):
        eventually(lambda: False, "the moon", 0.01)


def test_a_block_that_waits_is_reported(monkeypatch):
    seconds = iter((0.0, 59.0, 100.0, 160.0))
    monkeypatch.setattr(waiting, "time", SimpleNamespace(monotonic=lambda: next(seconds)))
    with promptly():
        pass
    with pytest.raises(AssertionError, match=r"took 60\.00 s; expected < 60 s"), promptly():
        pass
