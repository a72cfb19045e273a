from contextlib import suppress
from dataclasses import replace

import msgpack
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from realtime.comms.envelope import pack, unpack
from realtime.comms.messages import HealthMessage, KeyframeMessage, MaskMessage, OverlayMessage, read_message
from realtime.errors import WireError
from realtime.types import Confirmation, FrameRef, GazeRef, KeyframeRef, MaskAlternative, RecognizedName, TimingNs

ENVELOPE = {"v": 1, "stream": "s", "seq": 4, "published_ns": 5}
FRAME = FrameRef(7, 1.25, 6, 4)


def a_mask():
    mask = np.zeros((4, 6), bool)
    mask[1:3, 2:5] = True
    return mask


def message(**change):
    values = dict(
        frame=FRAME, keyframe=KeyframeRef(5, 1.0), gaze=GazeRef(1.2, 3.0, 1.5, 0.9, 8.0), carried_ms=12.5, object=3,
        state="locked", score=0.9, confidence=0.8, mask=a_mask(), timing_ns=TimingNs(1, 2, 3, 4),
        captured_ns=6,
    )  # fmt: skip
    return MaskMessage(**{**values, **change})


def through(topic, value):
    return read_message(topic, pack({**ENVELOPE, **value.to_fields()}))


def test_mask_round_trip_keeps_every_field():
    back = through("mask", message())
    assert isinstance(back, MaskMessage)
    np.testing.assert_array_equal(back.mask, a_mask())
    for field in ("frame", "keyframe", "gaze", "carried_ms", "object", "state", "score", "confidence", "timing_ns",
                  "captured_ns"):  # fmt: skip
        assert getattr(back, field) == getattr(message(), field)
    assert (back.stream, back.seq, back.published_ns) == ("s", 4, 5)


def test_alternatives_round_trip_on_their_own_grid():
    coarse = np.array([[True, False, True], [False, False, True]])
    alternatives = (MaskAlternative(coarse, 0.15, "part"), MaskAlternative(~coarse, 0.05, "other"))
    back = through("mask", message(alternatives=alternatives)).alternatives
    assert [(each.probability, each.kind) for each in back] == [(0.15, "part"), (0.05, "other")]
    for got, sent in zip(back, alternatives, strict=True):
        np.testing.assert_array_equal(got.mask, sent.mask)


def test_a_label_round_trips_and_is_published_only_where_it_is_known():
    assert through("mask", message(label=RecognizedName("cup", 0.75))).label == RecognizedName("cup", 0.75)
    assert "label" not in message().to_fields()
    assert through("mask", message()).label is None


@pytest.mark.parametrize("wrong", [{"name": "cup"}, "cup", {"name": 3, "score": 0.5}, {"name": "cup", "score": "x"}])
def test_wrong_labels_are_refused(wrong):
    with pytest.raises(WireError):
        read_message("mask", pack({**ENVELOPE, **message().to_fields(), "label": wrong}))


def test_a_confirmation_round_trips_and_is_published_only_where_there_is_one():
    confirmed = Confirmation("pinch", 3, 2**62)
    assert through("mask", message(confirmed=confirmed)).confirmed == confirmed
    assert "confirmed" not in message().to_fields()
    assert through("mask", message()).confirmed is None


@pytest.mark.parametrize(
    "wrong", ["key", {"by": "key"}, {"by": "shout", "number": 1, "at_ns": 2}, {"by": "key", "number": 1.5, "at_ns": 2}]
)
def test_wrong_confirmations_are_refused(wrong):
    with pytest.raises(WireError):
        read_message("mask", pack({**ENVELOPE, **message().to_fields(), "confirmed": wrong}))


def test_alternatives_are_published_only_where_there_are_any():
    assert "alternatives" not in message().to_fields()
    assert through("mask", message()).alternatives == ()


RUNS = {"encoding": "coco_rle", "width": 2, "height": 1, "data": b"2"}


@pytest.mark.parametrize(
    "wrong",
    [
        "none",
        [1],
        [{"kind": "part"}],
        [{"mask": {}, "probability": 0.1, "kind": "part"}],
        [{"mask": RUNS, "probability": 0.1, "kind": "half"}],
        [{"mask": RUNS, "probability": "high", "kind": "part"}],
        [{"mask": {**RUNS, "data": b"0"}, "probability": 0.1, "kind": "part"}],
        [{"mask": RUNS, "probability": 0.1, "kind": "part"}] * 9,
    ],
)
def test_wrong_alternatives_are_refused(wrong):
    with pytest.raises(WireError, match="mask"):
        read_message("mask", pack({**ENVELOPE, **message().to_fields(), "alternatives": wrong}))


def test_published_shape_describes_the_mask():
    fields = message().to_fields()
    assert (fields["box"], fields["area"], fields["centroid"]) == ([2, 1, 5, 3], 6, [3.0, 1.5])


def test_lost_has_no_mask_and_no_box():
    fields = message(state="lost", mask=None).to_fields()
    assert (fields["mask"], fields["box"], fields["area"], fields["centroid"]) == (None, None, 0, None)
    assert through("mask", message(state="lost", mask=None)).mask is None


@pytest.mark.parametrize(
    ("topic", "value"),
    [
        ("overlay", OverlayMessage(FRAME, b"jpeg")),
        ("keyframe", KeyframeMessage(FRAME, 80.5)),
        ("health", HealthMessage("running", "", {"frames": 24.0}, {"gaze": {"p50": 1.0}}, {"late": 2}, 300.0, {}, 9)),
    ],
)
def test_the_other_messages_round_trip(topic, value):
    assert through(topic, value) == replace(value, stream="s", seq=4, published_ns=5)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"v": 2}, "wire version 2"),
        ({"state": "asleep"}, "'asleep'"),
        ({"state": "lost"}, "lost with a mask"),
        ({"mask": None}, "locked without a mask"),
        ({"gaze": None}, "gaze must be a map"),
        ({"score": float("nan")}, "score must be a finite number"),
        ({"object": 1.5}, "object must be a whole number"),
        ({"stream": 3}, "stream must be a string"),
    ],
)
def test_wrong_fields_are_named(change, expected):
    with pytest.raises(WireError, match=expected):
        read_message("mask", pack({**ENVELOPE, **message().to_fields(), **change}))


def test_fields_that_came_later_may_be_missing():
    fields = {**ENVELOPE, **message().to_fields()}
    del fields["captured_ns"]
    assert read_message("mask", pack(fields)).captured_ns == 0


def test_unknown_fields_are_ignored():
    assert read_message("mask", pack({**ENVELOPE, **message().to_fields(), "later": [1]})).object == 3


@pytest.mark.parametrize(
    "payload",
    [b"", b"\x93\x01\x02\x03", b"\xc7\x01\x05x", b"\x91" * 5000 + b"\xc0", b"\xdf\xff\xff\xff\xff", b"\x81\x01\x02",
     b"\x80\x80", b"\x80"],
)  # fmt: skip
def test_an_invalid_payload_is_a_wire_error(payload):
    with pytest.raises(WireError, match="mask: "):
        read_message("mask", payload)


def test_an_unknown_topic_is_named():
    with pytest.raises(WireError, match="'other'; known are mask"):
        read_message("other", msgpack.packb(ENVELOPE))


@given(raw=st.binary(max_size=300))
@settings(max_examples=300, deadline=None)
def test_random_bytes_never_raise_anything_else(raw):
    with suppress(WireError):
        unpack(raw)


@given(cut=st.integers(0, 400))
@settings(max_examples=100, deadline=None)
def test_a_message_cut_anywhere_is_a_wire_error(cut):
    whole = pack({**ENVELOPE, **message().to_fields()})
    with pytest.raises(WireError):
        read_message("mask", whole[: min(cut, len(whole) - 1)])
