"""Tests how many wearers fit, by measured times."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.graphs import EncoderGraph
from realtime.config.sharing import SharingSettings
from realtime.serving.capacity import LoadMeter, MeasuredCost, admit, list_limits, smallest_encode_ms
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


def test_a_wearer_s_cores_are_measured_without_the_engine_s():
    meter = LoadMeter()
    meter.observe(0, 0, 0, 0, 2)
    assert meter.wearer_cores is None
    meter.observe(2 * SECOND, 3 * SECOND, SECOND, 30, 2)  # the window is not over
    assert meter.wearer_cores is None
    meter.observe(10 * SECOND, 10 * SECOND, 4 * SECOND, 200, 2)
    assert meter.wearer_cores == pytest.approx(0.3)
    assert meter.decode_hz == pytest.approx(10.0)
    meter.observe(20 * SECOND, 30 * SECOND, 4 * SECOND, 200, 3)  # one more has come: starting costs more
    assert meter.wearer_cores == pytest.approx(0.3)
