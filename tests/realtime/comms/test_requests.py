"""Requests are read as meant, or refused with what was expected."""

import contextlib

import msgpack
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from realtime.comms.requests import (
    AlternativeRequest,
    ConfirmRequest,
    CorrectRequest,
    EverythingRequest,
    HistoryRequest,
    HoldRequest,
    ReleaseRequest,
    SegmentRequest,
    SetWordRequest,
    SnapshotRequest,
    StatusRequest,
    UndoCorrectionRequest,
    pack_refusal,
    pack_reply,
    pack_request,
    read_reply,
    read_request,
)
from realtime.errors import WireError


@pytest.mark.parametrize(
    ("fields", "meant"),
    [
        ({"ask": "status"}, StatusRequest()),
        ({"ask": "release"}, ReleaseRequest()),
        ({"ask": "hold"}, HoldRequest()),
        ({"ask": "hold", "object": 4}, HoldRequest(4)),
        ({"ask": "confirm"}, ConfirmRequest()),
        ({"ask": "confirm", "object": 4}, ConfirmRequest(4)),
        ({"ask": "correct", "points": [[1, 2]]}, CorrectRequest(((1.0, 2.0, 1),))),
        (
            {"ask": "correct", "points": [[1, 2], [3, 4]], "labels": [0, 1], "frame": 7, "object": 2},
            CorrectRequest(((1.0, 2.0, 0), (3.0, 4.0, 1)), 7, 2),
        ),
        ({"ask": "correct", "box": [1, 2, 3, 4], "frame": 7}, CorrectRequest((), 7, None, (1.0, 2.0, 3.0, 4.0))),
        ({"ask": "undo"}, UndoCorrectionRequest()),
        ({"ask": "undo", "all": True}, UndoCorrectionRequest(True)),
        ({"ask": "word", "text": "cup"}, SetWordRequest("cup")),
        ({"ask": "word", "text": None, "seconds": 3}, SetWordRequest(None, 3.0)),
        ({"ask": "alternative"}, AlternativeRequest(1)),
        ({"ask": "alternative", "step": -1}, AlternativeRequest(-1)),
        ({"ask": "snapshot"}, SnapshotRequest("png")),
        ({"ask": "snapshot", "format": "jpeg"}, SnapshotRequest("jpeg")),
        ({"ask": "history", "object": 2}, HistoryRequest(2, 5.0)),
        ({"ask": "history", "object": 2, "seconds": 9}, HistoryRequest(2, 9.0)),
    ],
)
def test_requests_are_read(fields, meant):
    assert read_request(pack_request(**fields)) == meant


def test_prompts_and_grids_are_read():
    asked = read_request(pack_request("segment", points=[[1, 2], [3, 4.5]], labels=[1, 0]))
    assert isinstance(asked, SegmentRequest)
    assert asked.prompt.points_px.tolist() == [[1, 2], [3, 4.5]]
    assert asked.prompt.labels.tolist() == [1, 0]
    assert read_request(pack_request("segment", points=[[1, 2]])).prompt.labels.tolist() == [1]
    assert read_request(pack_request("segment", box=[1, 2, 3, 4])).prompt.box_px.tolist() == [1, 2, 3, 4]
    asked = read_request(pack_request("everything", points_per_side=8, least_stability=0.5))
    assert isinstance(asked, EverythingRequest)
    assert (asked.settings.points_per_side, asked.settings.least_stability) == (8, 0.5)


def test_numpy_numbers_are_packed_and_other_objects_refused():
    asked = read_request(
        pack_request("segment", points=list(np.array([[1, 2], [3, 4]])), labels=np.array([1, 0], np.int8))
    )
    assert (asked.prompt.points_px.tolist(), asked.prompt.labels.tolist()) == ([[1, 2], [3, 4]], [1, 0])
    assert read_request(pack_request("history", object=np.int64(3), seconds=np.float32(2))) == HistoryRequest(3, 2.0)
    for wrong in (object(), 1 << 70):
        with pytest.raises(WireError, match="hold cannot be asked so"):
            pack_request("hold", object=wrong)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"ask": "reboot"}, "ask is 'reboot'; known are status, hold"),
        ({"ask": "hold", "object": "cup"}, "object must be a whole number, got 'cup'"),
        ({"ask": "correct"}, "needs either a box"),
        ({"ask": "correct", "points": []}, "points must be 1 to 64 points"),
        ({"ask": "correct", "box": [3, 2, 1, 4]}, "expected x0 < x1"),
        ({"ask": "correct", "box": [1, 2, 3, 4], "points": [[1, 2]]}, "needs either a box"),
        ({"ask": "correct", "points": [[1, 2]], "labels": [1, 0]}, "for each of the points"),
        ({"ask": "correct", "points": [[1, 2]], "frame": 1.5}, "frame must be a whole number, got 1.5"),
        ({"ask": "confirm", "by": "pinch"}, "confirm knows no 'by'"),
        ({"ask": "alternative", "step": 2}, "step must be one of"),
        ({"ask": "history"}, "object must be a whole number, got None"),
        (
            {"ask": "history", "object": 1, "seconds": 1e9},
            "seconds must be a number above 0, at most 60, got 1000000000.0",
        ),
        ({"ask": "snapshot", "format": "gif"}, "format must be one of png, jpeg, got 'gif'"),
        ({"ask": "segment"}, "needs either a box"),
        ({"ask": "segment", "box": [1, 2, 3, 4], "points": [[1, 2]]}, "needs either a box"),
        ({"ask": "segment", "box": [3, 2, 1, 4]}, "expected x0 < x1"),
        ({"ask": "segment", "box": [1, 2, 3]}, "box must be 4 numbers, got"),
        ({"ask": "segment", "points": []}, "points must be 1 to 64 points"),
        ({"ask": "segment", "points": [[1, float("nan")]]}, r"points\[0\]\[1\] must be a number within 1e6, got nan"),
        ({"ask": "segment", "points": [[1, 2]], "labels": [1, 1]}, "for each of the points"),
        ({"ask": "segment", "points": [[1, 2]], "labels": [7]}, r"labels\[0\] must be one of 0, 1, got 7"),
        ({"ask": "segment", "points": [[1, 2]], "labels": [0]}, "needs a point that is on it"),
        ({"ask": "segment", "points": [[1, 2]], "labels": []}, "for each of the points"),
        ({"ask": "segment", "box": [1, 2, 3, 4], "labels": [1]}, "labels are for points"),
        ({"ask": "everything", "point_per_side": 2}, "knows no 'point_per_side'; it knows points_per_side, least_pre"),
        ({"ask": "status", "object": 3}, "status knows no 'object'; it knows no fields"),
        (
            {"ask": "everything", "points_per_side": float("inf")},
            "points_per_side must be a whole number of 1 to 64, got inf",
        ),
        (
            {"ask": "everything", "points_per_side": float("nan")},
            "points_per_side must be a whole number of 1 to 64, got nan",
        ),
        ({"ask": "everything", "points_per_side": 1000}, "points_per_side must be a whole number of 1 to 64, got 1000"),
        ({"ask": "everything", "points_per_side": 2.5}, "points_per_side must be a whole number of 1 to 64, got 2.5"),
        ({"ask": "everything", "least_stability": 7}, "least_stability must be a number of 0 to 1, got 7"),
    ],
)
def test_wrong_requests_are_refused_with_the_reason(fields, expected):
    with pytest.raises(WireError, match=expected):
        read_request(pack_request(**fields))


@settings(max_examples=100)
@given(st.binary(max_size=40) | st.dictionaries(
    st.sampled_from(["v", "ask", "object", "points", "box", "labels"]),
    st.sampled_from([1, "segment", "hold", None, [], [[1]], [[None, 2]], {}, b"x", 1e300, True]),
).map(msgpack.packb))  # fmt: skip
def test_nonsense_is_refused_by_name(payload):
    with contextlib.suppress(WireError):
        read_request(payload)


def test_answers_are_read_and_refusals_raised():
    assert read_reply(pack_reply(object=3))["object"] == 3
    with pytest.raises(WireError, match="nothing is on show"):
        read_reply(pack_refusal("nothing is on show"))
    with pytest.raises(WireError, match="expected a msgpack map"):
        read_reply(b"\x01")
