"""Tests that a step's CPU time goes to the part that spends it, once."""

from __future__ import annotations

import time

import pytest

from benchmarks.streaming_eval.step_profile import StepProfile


def burn(seconds: float) -> None:
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        pass


class Outer:
    def __init__(self) -> None:
        self.inner = Inner()

    def run(self) -> str:
        burn(0.02)
        return self.inner.run()


class Inner:
    def run(self) -> str:
        burn(0.06)
        return "done"

    def fail(self) -> None:
        burn(0.01)
        raise ValueError("on purpose")


def test_time_of_an_inner_part_is_its_own() -> None:
    profile, plain = StepProfile(), Outer.run
    with profile.measure({"outer": ((Outer, "run"),), "inner": ((Inner, "run"), (Inner, "fail"))}):
        assert Outer().run() == "done"
        with pytest.raises(ValueError, match="on purpose"):
            Inner().fail()
    assert Outer.run is plain
    outer, inner = profile.spent_s["outer"], profile.spent_s["inner"]
    assert 0.019 < outer < inner
    assert inner > 0.069
