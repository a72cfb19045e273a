"""Contents of a recording round-trip, and malformed ones are refused by name."""

import contextlib
import struct
from dataclasses import replace

import msgpack
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from realtime.errors import RecordingError
from realtime.pipeline.control import USER_VERBS, UserCommand
from realtime.pipeline.publisher import MessageStamp
from realtime.pipeline.tracker_log import EncodedKeyframe, TrackerCall
from realtime.recording.format import (
    RecordingInfo,
    pack_frame,
    pack_sample,
    pack_tracker_call,
    read_frame,
    read_sample,
    read_tracker_call,
)
from realtime.tracking.dwell.mask_points import MaskPoints
from realtime.tracking.external_objects import ExternalObjects
from realtime.types import EyeEvent, FrameKey, GazeSample
from tests.realtime.recording import plain_recordings

NS = st.integers(-(2**62), 2**62)
REAL = st.floats(allow_nan=False, allow_infinity=False)
EVENTS = st.builds(EyeEvent, st.sampled_from(["saccade", "fixation", "blink"]), NS, st.none() | NS)
SAMPLES = st.builds(
    GazeSample, REAL, REAL, st.sampled_from(["norm", "px"]), REAL, REAL, NS, NS, st.none() | REAL, st.none() | REAL,
    st.none() | EVENTS,
)  # fmt: skip
KEYS = st.builds(FrameKey, st.integers(0, 2**53), NS)
ENCODED = st.builds(EncodedKeyframe, KEYS, NS, NS)
MEANS = st.sampled_from(["key", "request", "pinch"])
CONFIRMS = st.builds(UserCommand, st.just("confirm"), object=st.none() | NS, by=MEANS, seen_ns=st.none() | NS)
CLICKS = st.lists(st.tuples(REAL, REAL, st.sampled_from([0, 1])), max_size=3).map(tuple)
CORRECTIONS = st.builds(
    UserCommand,
    st.just("correct"),
    object=st.none() | NS,
    clicks=CLICKS,
    frame_index=st.none() | NS,
    box=st.none() | st.tuples(REAL, REAL, REAL, REAL),
)
COMMANDS = st.builds(UserCommand, st.sampled_from(USER_VERBS), st.booleans()) | CONFIRMS | CORRECTIONS
CLOCK = st.lists(NS, max_size=5).map(tuple)
FAILED = st.none() | st.integers(0, 99)
CALLS = st.one_of(
    st.builds(
        TrackerCall, st.just("frame"), KEYS, st.lists(SAMPLES, max_size=3).map(tuple), st.none() | ENCODED,
        st.lists(COMMANDS, max_size=2).map(tuple), CLOCK,
        st.none() | st.builds(MessageStamp, st.integers(0, 2**40), NS), FAILED,
    ),
    st.builds(TrackerCall, st.just("keyframe"), keyframe=ENCODED, clock_ns=CLOCK, failed_decode=FAILED),
    st.builds(TrackerCall, st.just("pause"), clock_ns=CLOCK, failed_decode=FAILED),
)  # fmt: skip
NAMES = ["call", "frame", "samples", "keyframe", "commands", "clock_ns", "published", "format", "data", "verb"]
JUNK = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats() | st.text(max_size=5) | st.binary(max_size=5)
    | st.sampled_from(["frame", "keyframe", "pause", "jpeg", "png"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(NAMES), inner),
    max_leaves=12,
)  # fmt: skip


@settings(max_examples=60)
@given(SAMPLES, CALLS)
def test_samples_and_tracker_calls_round_trip(sample, call):
    assert read_sample(pack_sample(sample)) == sample
    assert read_tracker_call(pack_tracker_call(call)) == call


def test_a_sample_without_an_event_has_the_bytes_of_earlier_versions():
    sample = GazeSample(1.0, 2.0, "px", 0.9, 3.0, 4, 5)
    assert pack_sample(sample) == msgpack.packb([1.0, 2.0, "px", 0.9, 3.0, 4, 5, None, None])


def test_other_commands_have_the_bytes_of_earlier_versions():
    data = pack_tracker_call(
        TrackerCall("frame", FrameKey(5, 6), commands=(UserCommand("hold"), UserCommand("confirm")))
    )
    assert "failed_decode" not in msgpack.unpackb(data)
    hold, confirm = msgpack.unpackb(data)["commands"]
    assert hold == {"verb": "hold", "on": True, "object": None, "known": None}
    assert confirm.keys() - hold.keys() == {"by", "seen_ns"}


def test_external_objects_round_trip():
    mask = np.zeros((48, 64), bool)
    mask[10:30, 20:40] = True
    known = ExternalObjects(FrameKey(3, 4), (MaskPoints.from_mask(mask, (64, 48)), None))
    call = TrackerCall("frame", FrameKey(5, 6), commands=(UserCommand("know", known=known, reply=print),))
    again = read_tracker_call(pack_tracker_call(call)).commands[0]
    assert again.known.frame == known.frame
    assert np.array_equal(again.known.mask_points[0].points_px, known.mask_points[0].points_px)
    assert again.known.mask_points[0].area_px == known.mask_points[0].area_px
    assert again.known.mask_points[1] is None
    assert again.reply is None


@pytest.mark.parametrize(("lossy", "same"), [(False, True), (True, False)])
def test_frames_round_trip_and_know_whether_they_are_exact(lossy, same):
    frame = plain_recordings.frame(3)
    packed = read_frame(pack_frame(frame, lossy, 90))
    again = packed.decode()
    assert packed.exact is same
    assert np.array_equal(again.image, frame.image) is same
    assert (again.index, again.timestamp, again.captured_ns, again.received_ns) == (
        3, frame.timestamp, frame.captured_ns, frame.received_ns,
    )  # fmt: skip
    # What came as JPEG, as this one does now, is kept to the byte.
    if lossy:
        twice = read_frame(pack_frame(again, True, 10))
        assert twice.exact
        assert twice.data == packed.data
        assert np.array_equal(twice.decode().image, again.image)


@pytest.mark.parametrize("kind", ["jpeg", "png"])
def test_a_picture_with_a_huge_size_in_its_header_is_not_decoded(kind):
    packed = read_frame(pack_frame(plain_recordings.frame(0), kind == "jpeg", 90))
    if kind == "jpeg":
        at = packed.data.index(b"\xff\xc0") + 5
        size = struct.pack(">HH", 65500, 65500)
    else:
        at, size = 16, struct.pack(">II", 100_000, 100_000)
    huge = packed.data[:at] + size + packed.data[at + len(size) :]
    with pytest.raises(RecordingError, match="no picture that can be decoded"):
        replace(packed, data=huge).decode()


@settings(max_examples=100)
@given(st.binary(max_size=60))
def test_random_bytes_are_refused(data):
    for read in (read_frame, read_sample, read_tracker_call):
        with pytest.raises(RecordingError):
            read(data)


@settings(max_examples=150)
@given(JUNK)
def test_random_maps_are_read_or_refused(junk):
    """Any content is read or raises `RecordingError`."""
    try:
        data = msgpack.packb(junk)
    except OverflowError:
        return
    for read in (read_frame, read_sample, read_tracker_call):
        with contextlib.suppress(RecordingError):
            read(data)
    with pytest.raises(RecordingError):
        read_sample(data)


def test_metadata_round_trip_and_are_checked():
    about = RecordingInfo(config="a = 1\n", source="camera:0", wall_ns=-5, from_start=False, engine={"backend": "fake"})
    fields = about.to_fields()
    assert RecordingInfo.from_fields(fields) == about
    for changes, message in (
        ({"version": "9"}, "version '9' of a recording; this program reads 1"),
        ({"wall_ns": '"soon"'}, "recording.wall_ns must be a whole number, got 'soon'"),
        ({"engine": "{"}, "cannot be read"),
        ({"engine": "[]"}, "recording.engine must be a map, got \\[\\]"),
    ):
        with pytest.raises(RecordingError, match=message):
            RecordingInfo.from_fields({**fields, **changes})
