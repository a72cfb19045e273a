"""When a frame was captured, by the sender's clock, by its own times, or by its arrival."""

from __future__ import annotations

import numpy as np
import pytest

from realtime.infra.clock import now_ns, wall_ns
from realtime.sources.video.capture_clock import CaptureClock, SmallestDelay

S, MS = 1_000_000_000, 1_000_000


@pytest.mark.parametrize("delay_ms", [1, 40, 900])
def test_a_sender_whose_clock_agrees_is_believed(delay_ms: int) -> None:
    clock, begun_ns, wall = CaptureClock(), now_ns(), wall_ns()
    for number in range(20):
        captured_ns = begun_ns + number * 40 * MS
        got_ns = clock.capture_ns(captured_ns + (delay_ms + number % 3) * MS, captured_ns + wall, None)
        assert got_ns == pytest.approx(captured_ns, abs=5 * MS)
    assert clock.is_trusted
    status = clock.status(begun_ns + 20 * 40 * MS + delay_ms * MS)
    assert status is not None
    assert (status.offset_s, status.resets) == (0.0, 0)


@pytest.mark.parametrize("error_s", [-86_400 * 365, -3, 0.5, 3600])
def test_a_wrong_clock_is_replaced_by_the_smallest_delay(error_s: float) -> None:
    """Ages are then too small by that delay, and never negative."""
    clock, begun_ns, wall = CaptureClock(), now_ns(), wall_ns()
    delays_ns = np.random.default_rng(0).integers(10 * MS, 60 * MS, 200)
    delays_ns[0] = 10 * MS
    for number, delay_ns in enumerate(delays_ns.tolist()):
        captured_ns = begun_ns + number * 40 * MS
        received_ns = captured_ns + delay_ns
        got_ns = clock.capture_ns(received_ns, captured_ns + wall + round(error_s * S), None)
        assert got_ns <= received_ns
        assert got_ns - captured_ns == pytest.approx(10 * MS, abs=5 * MS)
    status = clock.status(received_ns)
    assert status is not None
    assert not clock.is_trusted
    assert status.offset_s == pytest.approx(error_s, abs=0.1)


def test_a_stall_of_the_network_is_no_error_of_the_clock() -> None:
    clock, begun_ns, wall = CaptureClock(), now_ns(), wall_ns()
    for number in range(1000):
        captured_ns = begun_ns + number * 40 * MS
        received_ns = captured_ns + (30 * MS if number < 50 else 5 * S)
        assert clock.capture_ns(received_ns, captured_ns + wall, None) == pytest.approx(captured_ns, abs=5 * MS)


def test_frames_that_were_held_up_are_not_new() -> None:
    """Without the sender's clock, its times of presentation show which frames waited on the way."""
    clock, begun_ns = CaptureClock(), now_ns()
    for number in range(50):
        captured_ns = begun_ns + number * 40 * MS
        received_ns = max(captured_ns + 20 * MS, begun_ns + 30 * 40 * MS if 20 <= number < 30 else 0)
        got_ns = clock.capture_ns(received_ns, None, number * 40 * MS)
        assert got_ns == captured_ns + 20 * MS


def test_what_the_receiver_held_back_is_older() -> None:
    assert CaptureClock().capture_ns(100 * MS, None, 5 * MS, held_ns=40 * MS) == 60 * MS
    clock = CaptureClock()
    assert clock.capture_ns(100 * MS, wall_ns() + 3600 * S, 5 * MS, held_ns=40 * MS) == pytest.approx(60 * MS, abs=MS)


def test_without_any_time_the_arrival_counts() -> None:
    clock = CaptureClock()
    assert clock.capture_ns(7, None, None) == 7
    assert clock.status(8) is None


def test_the_smallest_delay_is_that_of_the_last_ten_seconds() -> None:
    delays = SmallestDelay()
    assert [delays.add(at, at + 5 + at // S) for at in range(0, 15 * S, S)] == [5] * 10 + [6, 7, 8, 9, 10]


def test_a_clock_that_is_set_back_is_noticed() -> None:
    delays = SmallestDelay()
    delays.add(1000 * S, 5 * S)
    assert delays.add(0, 6 * S) == 6 * S
    assert delays.jumps == 1
