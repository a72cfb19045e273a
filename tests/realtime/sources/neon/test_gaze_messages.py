"""Tests the payloads of gaze and eye events, of every form that an app has sent and of none."""

import contextlib
import math
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from realtime.simulation.neon.eye_payloads import KEEP_ALIVE, pack_blink, pack_gaze, pack_movement, pack_onset
from realtime.sources.neon.gaze_messages import GazePoint, ReportedEvent, UnusableData, read_event, read_gaze

S = 1_700_000_000 * 10**9


@pytest.mark.parametrize("length", [9, 17, 25, 65, 89, 105, 121, 200])
@pytest.mark.parametrize("worn", [True, False])
def test_gaze_of_known_and_of_future_forms(length, worn):
    assert read_gaze(pack_gaze(800.5, 601.25, worn, length)) == GazePoint(800.5, 601.25, worn)


def test_the_points_of_two_eyes_are_averaged():
    assert read_gaze(struct.pack("!ffBff", 100, 200, 255, 110, 220)) == GazePoint(105, 210, True)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "truncated"),
        (b"\0" * 8, "truncated"),
        (struct.pack("!ffB", math.nan, 1, 255), "no position"),
        (struct.pack("!ffB", 1, math.inf, 255), "no position"),
        (struct.pack("!ffB", 1e9, 1, 255), "out of range"),
    ],
)
def test_unusable_gaze_is_named(data, reason):
    with pytest.raises(UnusableData, match=reason):
        read_gaze(data)


def test_onsets_and_blinks():
    assert read_event(pack_onset("saccade", S)) == ReportedEvent("saccade", S)
    assert read_event(pack_onset("fixation", S)) == ReportedEvent("fixation", S)
    assert read_event(pack_blink(S, S + 5)) == ReportedEvent("blink", S, S + 5)


def test_what_tells_nothing_new_is_no_event():
    assert read_event(KEEP_ALIVE) is None
    assert read_event(pack_movement("fixation", S, S + 1, 2.0, 3.0)) is None
    assert read_event(struct.pack("!i", 77)) is None


@pytest.mark.parametrize(
    "data", [b"\0", struct.pack("!i", 2), struct.pack("!iqq", 4, S, S - 1), pack_onset("saccade", 0)]
)
def test_unusable_events_are_refused(data):
    with pytest.raises(UnusableData, match="event"):
        read_event(data)


@settings(deadline=None)
@given(st.binary(max_size=130))
def test_any_bytes_give_finite_values_or_a_reason(data):
    for read in (read_gaze, read_event):
        with contextlib.suppress(UnusableData):
            value = read(data)
            assert not isinstance(value, GazePoint) or (math.isfinite(value.x) and math.isfinite(value.y))
