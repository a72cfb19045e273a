"""Tests how many wearers fit, by measured times."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.graphs import EncoderGraph
from realtime.config.sharing import SharingSettings
from realtime.serving.capacity import LoadCounts, LoadMeter, MeasuredCost, admit, list_limits, smallest_encode_ms
from realtime.serving.lane_statistics import LaneStatistics

SECOND = 1_000_000_000


def test_the_slowest_part_is_the_limit_and_is_named():
    cost = MeasuredCost(encode_ms=80.0, decode_ms=5.0, decode_hz=30.0, wearer_cores=0.5, cores=8)
    assert [count for count, _ in list_limits(cost, SharingSettings())] == [5, 6, 12]
    refused = admit(5, cost, SharingSettings())
    assert not refused.is_admitted
    assert refused.fits == 5
    assert refused.reason == "a picture takes 80 ms, and keyframes may be 500 ms old: 5 wearers fit"
    assert admit(4, cost, SharingSettings()).is_admitted
    assert admit(5, cost, SharingSettings(max_keyframe_age_ms=1000)).is_admitted


def test_the_first_wearer_is_always_admitted():
    assert admit(0, MeasuredCost(None), SharingSettings()).is_admitted
    slow = admit(0, MeasuredCost(encode_ms=5000.0), SharingSettings())
    assert slow.is_admitted
    assert "1 wearer fits" in slow.reason
    assert not admit(1, MeasuredCost(encode_ms=5000.0), SharingSettings()).is_admitted


@given(st.floats(1, 500), st.floats(0.1, 50), st.floats(1, 60), st.integers(0, 50))
def test_a_faster_engine_never_fits_fewer(encode_ms, decode_ms, hz, count):
    cost, faster = MeasuredCost(encode_ms, decode_ms, hz), MeasuredCost(encode_ms / 2, decode_ms / 2, hz)
    if admit(count, cost, SharingSettings()).is_admitted:
        assert admit(count, faster, SharingSettings()).is_admitted


def test_the_time_of_the_smallest_side_follows_from_that_of_others():
    recent = ((EncoderGraph(288, 512), 1, 80.0), (EncoderGraph(288, 512, 2), 2, 160.0))
    statistics = LaneStatistics({}, {}, 0, {}, recent, {})
    assert statistics.item_ms == pytest.approx(80.0)
    assert smallest_encode_ms(statistics, (256, 512)) == pytest.approx(20.0)
    assert smallest_encode_ms(statistics, ()) == pytest.approx(80.0)
    assert smallest_encode_ms(LaneStatistics({}, {}, 0, {}, (), {}), (256,)) is None


def counts(at_s, cpu_s, engine_s=0.0, decodes=0, received=0, tracked=0, wearers=2):
    return LoadCounts(*(round(each * SECOND) for each in (at_s, cpu_s, engine_s)), decodes, received, tracked, wearers)


def test_a_wearer_s_cores_are_measured_without_the_engine_s():
    meter = LoadMeter()
    meter.observe(counts(0, 0))
    assert meter.wearer_cores is None
    meter.observe(counts(2, 3, 1, 30, 60, 60))  # the window is not over
    assert meter.wearer_cores is None
    meter.observe(counts(10, 10, 4, 200, 300, 300))
    assert meter.wearer_cores == pytest.approx(0.3)
    assert meter.decode_hz == pytest.approx(10.0)
    meter.observe(counts(20, 30, 4, 200, 900, 900, wearers=3))  # one more has come: starting costs more
    assert meter.wearer_cores == pytest.approx(0.3)
    meter.observe(counts(30, 40, 4, 200, 1350, 900, wearers=3))  # nothing was tracked
    assert meter.wearer_cores == pytest.approx(0.3)


def test_a_busy_window_among_others_changes_nothing():
    meter = LoadMeter()
    cpu_s = 0.0
    for turn, cores in enumerate([0.3, 0.3, 0.9, 0.3, 0.3, 0.3, 0.6, 0.6, 0.6]):
        meter.observe(counts(10 * turn, cpu_s, 0, 20 * turn, 150 * turn, 150 * turn, wearers=1))
        cpu_s += 10 * cores
        if turn:
            assert meter.wearer_cores == pytest.approx(0.3)
    meter.observe(counts(90, cpu_s, 0, 180, 1350, 1350, wearers=1))
    assert meter.wearer_cores == pytest.approx(0.6)  # three of the last five
    assert meter.decode_hz == pytest.approx(2.0)


@given(st.integers(1, 16), st.floats(1, 120), st.floats(0.01, 1), st.floats(0.001, 0.1), st.integers(0, 4))
def test_fits_is_the_same_however_few_of_the_frames_are_tracked(wearers, fps, share, frame_s, decodes):
    def measure(tracked_share):
        meter, seconds = LoadMeter(), 1000
        received = round(fps * seconds) * wearers
        tracked = max(1, round(received * tracked_share))
        cpu_s, served = tracked * frame_s, tracked * decodes
        meter.observe(counts(0, 0, wearers=wearers))
        meter.observe(counts(seconds, cpu_s, 0, served, received, tracked, wearers))
        return meter.wearer_cores, meter.decode_hz

    cores, hz = measure(1)
    starved_cores, starved_hz = measure(share)
    assert starved_cores == pytest.approx(cores, rel=1e-6)
    assert starved_hz == pytest.approx(hz)


@pytest.mark.parametrize(("tracked_hz", "cpu_s_each"), [(15, 0.6), (7.5, 0.3), (1.5, 0.06)])
def test_no_more_fit_where_wearers_get_less(tracked_hz, cpu_s_each):
    meter, wearers = LoadMeter(), 8
    meter.observe(counts(0, 0, wearers=wearers))
    meter.observe(counts(10, 10 * cpu_s_each * wearers, 0, 0, 150 * wearers, round(10 * tracked_hz * wearers), wearers))
    cost = MeasuredCost(None, wearer_cores=meter.wearer_cores, cores=4)
    assert admit(wearers, cost, SharingSettings()).fits == 4
