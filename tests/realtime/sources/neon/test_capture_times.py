"""Tests the mapping of capture times while clocks are set and networks are slow."""

import pytest

from realtime.infra.clock import ClockMap
from realtime.sources.neon.capture_times import CaptureTimes

S, MS = 10**9, 10**6
DELAY_NS = 10 * MS
EPOCH_S = 1_000.0


class Device:
    """A device whose clock, and the clock of whose stream, are set at different times."""

    def __init__(self):
        self.clock = ClockMap()
        self.times = CaptureTimes(self.clock)
        self.epoch_s = self.stream_epoch_s = EPOCH_S
        self.probe(0)

    def probe(self, at_ns):
        self.clock.add(at_ns - MS, at_ns / S + self.epoch_s, at_ns + MS)

    def error_ms(self, captured_ns, delay_ns=DELAY_NS):
        """The error of the mapped capture time of a sample."""
        mapped_ns = self.times.to_host_ns(captured_ns / S + self.stream_epoch_s, captured_ns + delay_ns)
        return (mapped_ns - captured_ns) / MS

    def run(self, from_s, to_s, delay_ns=DELAY_NS):
        errors = []
        for tick in range(round(from_s * 20), round(to_s * 20)):
            if tick % 20 == 0:
                self.probe(tick * S // 20)
            errors.append(abs(self.error_ms(tick * S // 20, delay_ns)))
        return max(errors)


def test_before_the_first_probe_it_is_the_time_of_arrival():
    assert CaptureTimes(ClockMap()).to_host_ns(5.0, 7 * S) == 7 * S


def test_times_are_mapped_and_never_after_the_arrival():
    device = Device()
    assert device.run(0.05, 10) < 1.5
    assert device.times.to_host_ns(EPOCH_S + 11.0, 10 * S) <= 10 * S


@pytest.mark.parametrize("change_s", [-5.0, -0.5, 0.5, 5.0])
@pytest.mark.parametrize("report_after_s", [-0.5, 0.0, 3.0])
def test_a_clock_that_is_set_does_not_move_capture_times(change_s, report_after_s):
    """The stream's reports may follow the clock before the next probe, or seconds later."""
    device = Device()
    device.run(0, 5)
    if report_after_s < 0:
        device.stream_epoch_s += change_s
        device.times.note_clock_change(5 * S)
        assert device.run(5.05, 5.5) < 50
    device.epoch_s += change_s
    device.probe(round(5.5 * S))
    if report_after_s > 0:
        assert device.run(5.55, 5.5 + report_after_s) < 50
    if report_after_s >= 0:
        device.stream_epoch_s += change_s
        device.times.note_clock_change(round((5.5 + report_after_s) * S))
    assert device.run(9, 20) < 1.5


def test_data_that_the_network_delays_keep_their_time():
    device = Device()
    device.run(0, 5)
    assert abs(device.error_ms(5 * S, 900 * MS)) < 1.5, "late is not new"
    assert device.run(5.05, 8, 700 * MS) < 1.5
    assert device.run(8, 10) < 1.5


def test_a_stream_that_never_follows_its_clock_is_believed_after_a_while():
    device = Device()
    device.run(0, 5)
    device.epoch_s -= 2.0
    device.probe(5 * S)
    assert device.run(5.05, 15) < 50
    device.run(15, 25)
    assert device.error_ms(25 * S) == pytest.approx(device.error_ms(25 * S + 50 * MS), abs=1)


@pytest.mark.parametrize("change_s", [-100.0, 100.0])
def test_a_stream_of_another_clock_is_timed_by_its_arrival_after_a_while(change_s):
    device = Device()
    device.stream_epoch_s += change_s
    assert not device.times.is_foreign
    device.run(0, 20)
    assert device.times.is_foreign
    assert device.error_ms(20 * S) == pytest.approx(DELAY_NS / MS)
    device.stream_epoch_s -= change_s
    device.run(20, 40)
    assert not device.times.is_foreign
    assert device.run(40, 45) < 1.5
