"""What is done between two frames must not make the next one wait."""

from hypothesis import given
from hypothesis import strategies as st

from realtime.pipeline.pacing import MAX_DELAY_NS, IdleBudget

MS = 1_000_000


def told(interval_ms=33, frames=20, cost_ms=5.0):
    """Pauses that know the pace and the cost; gives also when the last frame came, and just did something."""
    pauses, now = IdleBudget(), 0
    for index in range(frames):
        now = index * interval_ms * MS
        pauses.record_frame(now)
        pauses.record_work(now, now + round(cost_ms * MS))
    return pauses, now


def test_anything_goes_before_the_pace_is_known():
    pauses = IdleBudget()
    assert pauses.has_time(0)
    pauses.record_frame(5 * MS)
    assert pauses.has_time(7 * MS)


def test_only_what_is_done_before_the_next_frame():
    pauses, last = told(33, cost_ms=5)
    assert pauses.has_time(last + 20 * MS)
    assert pauses.has_time(last + 27 * MS)
    assert not pauses.has_time(last + 29 * MS)
    assert not pauses.has_time(last + 40 * MS)  # it is late, and may come any moment


def test_what_has_waited_for_long_is_done_all_the_same():
    pauses, last = told(8, cost_ms=9)
    pauses.record_work(last, last)
    assert not pauses.has_time(last + 1 * MS)
    assert not pauses.has_time(last + MAX_DELAY_NS)
    assert pauses.has_time(last + MAX_DELAY_NS + 1)


def test_it_learns_a_new_cost_and_a_new_pace():
    pauses, last = told(33, cost_ms=5)
    for _ in range(30):
        pauses.record_work(last, last + 20 * MS)
    assert not pauses.has_time(last + 20 * MS)
    for _ in range(30):
        last += 100 * MS
        pauses.record_frame(last)
        pauses.record_work(last, last + 20 * MS)
    assert pauses.has_time(last + 70 * MS)


@given(st.lists(st.tuples(st.integers(1, 200), st.integers(0, 100)), min_size=2, max_size=40))
def test_never_beyond_the_longest_interval_seen(steps):
    pauses, now = IdleBudget(), 0
    for interval, cost in steps:
        now += interval * MS
        pauses.record_frame(now)
        pauses.record_work(now, now + cost * MS)
    longest = max(interval for interval, _ in steps)
    if longest * MS < MAX_DELAY_NS:
        assert not pauses.has_time(now + min(MAX_DELAY_NS, longest * MS + 1))


def test_a_source_that_counts_from_the_start_again_is_no_pace():
    pauses, last = told(33)
    pauses.record_frame(last - 1000 * MS)
    pauses.record_frame(last - 967 * MS)
    assert pauses.has_time(last - 950 * MS)
    assert not pauses.has_time(last - 935 * MS)
