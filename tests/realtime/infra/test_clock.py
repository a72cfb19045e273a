"""The clock map under delays, drift and jumps that are known because they are injected."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from realtime.infra.clock import JUMP_NS, ArrivalClock, ClockMap, now_ns


class Device:
    """A clock of known offset and drift behind a line of known delays."""

    def __init__(self, seed: int, offset_s: float, drift: float, delays_ms: tuple[float, float]) -> None:
        self.random = np.random.default_rng(seed)
        self.offset_s, self.drift, self.delays_ms = offset_s, drift, delays_ms
        self.start_ns = self.received_ns = 86_400_000_000_000

    def reads(self, host_ns: int) -> float:
        return self.offset_s + (host_ns - self.start_ns) / 1e9 * (1 + self.drift)

    def probe(self, clock: ClockMap, sent_ns: int) -> bool:
        there, back = (int(self.random.exponential(delay) * 1e6) for delay in self.delays_ms)
        self.received_ns = sent_ns + there + back
        return clock.add(sent_ns, self.reads(sent_ns + there), self.received_ns)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    offset_s=st.floats(-1e6, 2e9),
    drift=st.floats(-200e-6, 200e-6),
    there_ms=st.floats(0.01, 30),
    back_ms=st.floats(0.01, 30),
    count=st.integers(1, 150),
)
def test_published_uncertainty_covers_truth(
    seed: int, offset_s: float, drift: float, there_ms: float, back_ms: float, count: int
) -> None:
    device, clock = Device(seed, offset_s, drift, (there_ms, back_ms)), ClockMap()
    for i in range(count):
        sent_ns = device.start_ns + i * 1_000_000_000
        device.probe(clock, sent_ns)
        for later_ns in (0, 300_000_000, 999_000_000):
            truth_ns = sent_ns + later_ns
            remote_s = device.reads(truth_ns)
            mapped, bound = clock.host_ns(remote_s), clock.uncertainty_ns(remote_s)
            assert mapped is not None
            assert bound is not None
            assert abs(mapped - truth_ns) <= bound
    assert clock.resets == 0


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), drift=st.floats(-200e-6, 200e-6), delay_ms=st.floats(0.01, 40))
def test_mapped_time_never_runs_backwards(seed: int, drift: float, delay_ms: float) -> None:
    device, clock = Device(seed, -5.0, drift, (delay_ms, delay_ms / 10)), ClockMap()
    mapped, sent_ns = [], device.start_ns
    for _ in range(90):
        device.probe(clock, sent_ns)
        sent_ns = device.received_ns + 1_000_000_000
        for after_ns in (1_000, 3_000_000, 500_000_000, 997_000_000, 999_999_000):
            mapped.append(clock.host_ns(device.reads(device.received_ns + after_ns)))
    assert all(a < b for a, b in itertools.pairwise(m for m in mapped if m is not None))


def test_drift_is_learned_and_bound_is_tight() -> None:
    device, clock = Device(3, 1234.5, 80e-6, (0.2, 0.2)), ClockMap()
    for i in range(60):
        device.probe(clock, device.start_ns + i * 1_000_000_000)
    truth_ns = device.start_ns + 62_000_000_000
    remote_s = device.reads(truth_ns)
    mapped, bound = clock.host_ns(remote_s), clock.uncertainty_ns(remote_s)
    assert mapped is not None
    assert bound is not None
    # A map without drift would be late by half a window, 2.4 ms; the round trips are 0.4 ms in the mean.
    assert abs(mapped - truth_ns) < 150_000
    assert bound < 1_000_000


def test_trust_fades_without_probes() -> None:
    device, clock = Device(1, 0.0, 0.0, (1, 1)), ClockMap()
    device.probe(clock, device.start_ns)
    near, far = (clock.status(device.start_ns + s * 1_000_000_000) for s in (1, 100))
    assert near is not None
    assert far is not None
    assert far.uncertainty_ns > near.uncertainty_ns + 50_000_000
    assert far.age_ns > near.age_ns


@pytest.mark.parametrize("jump_s", [-3600.0, -0.05, 0.05, 1e6])
def test_clock_that_is_set_resets_map_at_once(jump_s: float) -> None:
    device, clock = Device(2, 100.0, 0.0, (0.1, 0.1)), ClockMap()
    for i in range(20):
        assert not device.probe(clock, device.start_ns + i * 1_000_000_000)
    device.offset_s += jump_s
    truth_ns = device.start_ns + 20_000_000_000
    assert device.probe(clock, truth_ns)
    assert clock.resets == 1
    mapped = clock.host_ns(device.reads(truth_ns))
    assert mapped is not None
    assert abs(mapped - truth_ns) < 1_000_000
    assert not device.probe(clock, truth_ns + 1_000_000_000)


def test_small_step_is_worked_off_without_reset() -> None:
    device, clock = Device(2, 100.0, 0.0, (0.1, 0.1)), ClockMap()
    for i in range(20):
        device.probe(clock, device.start_ns + i * 1_000_000_000)
    device.offset_s += 0.008  # forward there is backward here
    truth_ns = device.start_ns + 20_000_000_000
    device.probe(clock, truth_ns)
    errors = []
    for s in (0, 1, 3):
        remote_s = device.reads(truth_ns + s * 1_000_000_000)
        mapped, bound = clock.host_ns(remote_s), clock.uncertainty_ns(remote_s)
        assert mapped is not None
        assert bound is not None
        errors.append(abs(mapped - truth_ns - s * 1_000_000_000))
        assert errors[-1] <= bound
    assert errors[0] > 7_000_000
    assert errors[-1] < 1_000_000
    assert clock.resets == 0


def test_a_slow_connection_is_not_a_jump() -> None:
    clock = ClockMap()
    clock.add(0, 5.0, 200_000)
    assert not clock.add(1_000_000_000, 6.02, 1_100_000_000)  # 20 ms off, but the answer took 100 ms
    assert clock.resets == 0
    assert JUMP_NS < 20_000_000


def test_there_is_no_estimate_before_the_first_probe() -> None:
    clock = ClockMap()
    assert clock.host_ns(1.0) is None
    assert clock.uncertainty_ns(1.0) is None
    assert clock.status(now_ns()) is None


@pytest.mark.parametrize("probe", [(2, 1.0, 1), (0, float("nan"), 1), (0, float("inf"), 1)])
def test_impossible_probe_is_refused(probe: tuple[int, float, int]) -> None:
    with pytest.raises(ValueError, match="a probe needs"):
        ClockMap().add(*probe)


def test_status_gives_offset() -> None:
    device, clock = Device(5, -777.0, 0.0, (0.01, 0.01)), ClockMap()
    device.probe(clock, device.start_ns)
    status = clock.status(device.start_ns + 500_000_000)
    assert status is not None
    assert status.offset_s == pytest.approx(-777.0 - device.start_ns / 1e9, abs=1e-3)


def test_times_of_arrival_alone_map_a_clock_by_its_quickest_message() -> None:
    clock, delays_ms = ArrivalClock(), [30, 12, 20, 5, 40, 5]
    mapped = []
    for number, delay_ms in enumerate(delays_ms):
        sent_ms = 100 * number
        mapped.append(clock.host_ns(7.0 + sent_ms / 1e3, (sent_ms + delay_ms) * 1_000_000) - sent_ms * 1_000_000)
    assert [late_ns / 1e6 for late_ns in mapped] == [30, 12, 12, 5, 5, 5]


def test_arrivals_follow_drift_and_a_clock_that_was_set() -> None:
    clock = ArrivalClock()
    for second in range(200):  # the device's clock is slow by 1 ms a second
        mapped_ns = clock.host_ns(second * 0.999, second * 1_000_000_000)
        assert 0 <= second * 1_000_000_000 - mapped_ns <= 30_000_000
    assert clock.host_ns(9000.0, 200_000_000_000) == 200_000_000_000
    assert clock.host_ns(1.0, 201_000_000_000) == 201_000_000_000


@given(st.lists(st.tuples(st.integers(0, 500), st.integers(1, 300)), min_size=2, max_size=40))
def test_arrivals_keep_the_order_and_are_never_in_the_future(messages: list[tuple[int, int]]) -> None:
    """messages: (delay, time since the last one), ms."""
    clock, sent_ms, last_received_ms, last_ns = ArrivalClock(), 0, 0, -1
    for delay_ms, step_ms in messages:
        sent_ms += step_ms
        received_ms = max(sent_ms + delay_ms, last_received_ms + 1)
        mapped_ns = clock.host_ns(sent_ms / 1e3, received_ms * 1_000_000)
        assert last_ns < mapped_ns <= received_ms * 1_000_000
        last_ns, last_received_ms = mapped_ns, received_ms
