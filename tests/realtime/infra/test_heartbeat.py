"""A thread hangs when it works on one item for longer than its deadline, never while it waits."""

import math

import pytest

from realtime.infra import heartbeat
from realtime.infra.heartbeat import Heartbeat

S = 1_000_000_000


def test_only_work_beyond_the_deadline_is_a_problem(monkeypatch):
    monkeypatch.setattr(heartbeat, "now_ns", lambda: 10 * S)
    beat = Heartbeat("track", 3.0)
    assert beat.problem(99 * S) == ""
    with beat.working():
        assert beat.busy_ns(9 * S) == 0
        assert beat.problem(13 * S) == ""
        late, later = beat.problem(13 * S + 1), beat.problem(60 * S)
        assert late == later == "track: one frame takes longer than 3.0 s"
        beat.deadline_s = math.inf
        assert beat.problem(60 * S) == ""
    assert beat.busy_ns(99 * S) == 0


def test_an_error_ends_the_work_on_an_item():
    beat = Heartbeat("recording", 1.0, "message")
    with pytest.raises(OSError, match="disk"), beat.working():
        raise OSError("disk")
    assert beat.problem(10**30) == ""
