"""What is done between two frames must not make the next one wait."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime.pipeline.pacing import MAX_DELAY_NS, FrameLimiter, IdleBudget

MS = 1_000_000


def make_budget(interval_ms=33, frames=20, cost_ms=5.0):
    """Make a budget that knows interval and cost; returns the time of the last frame too."""
    budget, now = IdleBudget(), 0
    for index in range(frames):
        now = index * interval_ms * MS
        budget.record_frame(now)
        budget.record_work(now, now + round(cost_ms * MS))
    return budget, now


def test_there_is_time_until_the_interval_is_known():
    budget = IdleBudget()
    assert budget.has_time(0)
    budget.record_frame(5 * MS)
    assert budget.has_time(7 * MS)


def test_work_must_end_before_the_next_frame():
    budget, last = make_budget(33, cost_ms=5)
    assert budget.has_time(last + 20 * MS)
    assert budget.has_time(last + 27 * MS)
    assert not budget.has_time(last + 29 * MS)
    assert not budget.has_time(last + 40 * MS)  # it is late, and may come any moment


def test_delayed_work_is_done_after_the_longest_delay():
    budget, last = make_budget(8, cost_ms=9)
    budget.record_work(last, last)
    assert not budget.has_time(last + 1 * MS)
    assert not budget.has_time(last + MAX_DELAY_NS)
    assert budget.has_time(last + MAX_DELAY_NS + 1)


def test_a_new_cost_and_a_new_interval_are_learnt():
    budget, last = make_budget(33, cost_ms=5)
    for _ in range(30):
        budget.record_work(last, last + 20 * MS)
    assert not budget.has_time(last + 20 * MS)
    for _ in range(30):
        last += 100 * MS
        budget.record_frame(last)
        budget.record_work(last, last + 20 * MS)
    assert budget.has_time(last + 70 * MS)


@given(st.lists(st.tuples(st.integers(1, 200), st.integers(0, 100)), min_size=2, max_size=40))
def test_there_is_no_time_beyond_the_longest_interval(steps):
    budget, now = IdleBudget(), 0
    for interval, cost in steps:
        now += interval * MS
        budget.record_frame(now)
        budget.record_work(now, now + cost * MS)
    longest = max(interval for interval, _ in steps)
    if longest * MS < MAX_DELAY_NS:
        assert not budget.has_time(now + min(MAX_DELAY_NS, longest * MS + 1))


def test_a_restarted_source_does_not_change_the_interval():
    budget, last = make_budget(33)
    budget.record_frame(last - 1000 * MS)
    budget.record_frame(last - 967 * MS)
    assert budget.has_time(last - 950 * MS)
    assert not budget.has_time(last - 935 * MS)


@pytest.mark.parametrize(
    ("max_fps", "fps", "least", "most"),
    [(0, 120, 1200, 1200), (30, 120, 300, 330), (30, 30, 298, 300), (30, 15, 150, 150)],
)
def test_frames_above_a_rate_are_not_admitted(max_fps, fps, least, most):
    limiter, rng = FrameLimiter(max_fps), np.random.default_rng(1)
    times = [number * 1_000_000_000 // fps + int(rng.integers(0, 8_000_000)) for number in range(10 * fps)]
    assert least <= sum(limiter.admit(at_ns) for at_ns in times) <= most
