"""Tests the messages of a data channel: examples, broken ones, and anything at all."""

from __future__ import annotations

import json

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime.sources.webrtc.channel_messages import (
    ChannelError,
    ClockReply,
    GazeReport,
    pack_clock_request,
    read_messages,
)

GAZE = {"type": "gaze", "time": 12.5, "x": 0.25, "y": 0.75}
NAN, INF = float("nan"), float("inf")


def test_json_lines_and_msgpack_say_the_same() -> None:
    clock = {"type": "clock", "id": 3, "time": 9}
    full = {**GAZE, "unit": "px", "confidence": 0.5, "of the future": [1]}
    expected = [GazeReport(12.5, 0.25, 0.75), GazeReport(12.5, 0.25, 0.75, "px", 0.5), ClockReply(3, 9.0)]
    text = "\n".join(map(json.dumps, [GAZE, full, clock])) + "\n\n"
    assert list(read_messages(text)) == expected
    assert list(read_messages(msgpack.packb([GAZE, full, clock]))) == expected
    assert list(read_messages(msgpack.packb(GAZE))) == expected[:1]


def test_a_request_is_read_as_json() -> None:
    assert json.loads(pack_clock_request(7)) == {"type": "clock", "id": 7}


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ("{", "not json"),
        ("[1]", "not a map"),
        (b"\xc1", "not msgpack"),
        (msgpack.packb(3), "not a map"),
        ("x" * 70_000, "oversize"),
        (json.dumps({"type": "song"}), "unknown type"),
        (json.dumps({"type": ["gaze"]}), "unknown type"),
        (json.dumps({**GAZE, "x": "0"}), "wrong type"),
        (json.dumps({"type": "gaze", "time": 1}), "wrong type"),
        (json.dumps({**GAZE, "unit": "degrees"}), "wrong type"),
        (msgpack.packb({**GAZE, "x": NAN}), "position"),
        (msgpack.packb({**GAZE, "y": INF}), "position"),
        (json.dumps({**GAZE, "x": 1e5}), "position"),
        (msgpack.packb({**GAZE, "time": NAN}), "time"),
        (json.dumps({**GAZE, "time": 1e12}), "time"),
        (msgpack.packb({**GAZE, "confidence": NAN}), "confidence"),
    ],
)
def test_a_message_that_cannot_be_used_has_one_of_a_few_reasons(data: str | bytes, reason: str) -> None:
    (found,) = read_messages(data)
    assert isinstance(found, ChannelError)
    assert str(found) == reason


def test_good_messages_go_on_behind_a_bad_one_and_their_number_is_limited() -> None:
    found = list(read_messages(msgpack.packb([GAZE, 1, GAZE])))
    assert [type(each) for each in found] == [GazeReport, ChannelError, GazeReport]
    many = list(read_messages(msgpack.packb([1] * 1500)))
    assert len(many) == 1001
    assert str(many[-1]) == "too many"


@given(st.binary(max_size=300) | st.text(max_size=300))
def test_anything_is_read_or_refused(data: bytes | str) -> None:
    for found in read_messages(data):
        assert isinstance(found, GazeReport | ClockReply | ChannelError)
