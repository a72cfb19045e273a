"""Packets of gaze, good and bad."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime.sources.tobii.gaze_messages import UnusableGaze, is_gaze, read_gaze_packet


@pytest.mark.parametrize(
    ("payload", "wanted"),
    [
        (b'{"gaze2d":[0.25,0.5],"gaze3d":[1,2,3],"eyeleft":{}}', (0.25, 0.5)),
        (b'{"gaze2d":[-0.1,1]}', (-0.1, 1.0)),
        (b"{}", None),
        (b'{"gaze2d":null}', None),
        (b'{"gaze2d":[]}', None),
        (b'{"eyeleft":{"pupildiameter":3.1}}', None),
    ],
)
def test_gaze(payload: bytes, wanted: object) -> None:
    assert read_gaze_packet(payload) == wanted


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", "no JSON"),
        (b"\xff{", "no JSON"),
        (b"[" * 100_000, "no JSON"),
        (b"[1]", "no JSON object"),
        (b'{"gaze2d":[0.5]}', "no pair of numbers"),
        (b'{"gaze2d":[0.5,"0.5"]}', "no pair of numbers"),
        (b'{"gaze2d":[true,false]}', "no pair of numbers"),
        (b'{"gaze2d":[[1],2]}', "no pair of numbers"),
        (b'{"gaze2d":7}', "no pair of numbers"),
        (b'{"gaze2d":{"a":1,"b":2}}', "no pair of numbers"),
        (b'{"gaze2d":[NaN,0.5]}', "position"),
        (b'{"gaze2d":[1e300,0.5]}', "position"),
        (b'{"gaze2d":[1' + b"0" * 400 + b",0.5]}", "no pair of numbers"),
    ],
)
def test_what_is_no_gaze(payload: bytes, reason: str) -> None:
    with pytest.raises(UnusableGaze, match=reason):
        read_gaze_packet(payload)


def test_gaze_is_known_by_its_keys_wherever_it_comes() -> None:
    gaze, empty, movement, event = b'{"gaze2d":[0,0]}', b"{}", b'{"gyroscope":[1,2,3]}', b'{"tag":"x","object":""}'
    assert [is_gaze(each, is_expected=True) for each in (gaze, empty, movement, event, b"?")] == [
        True, True, False, False, True,
    ]  # fmt: skip
    assert [is_gaze(each, is_expected=False) for each in (gaze, empty, movement, event, b"?")] == [
        True, False, False, False, False,
    ]  # fmt: skip


@given(st.one_of(st.binary(), st.recursive(st.none() | st.floats() | st.text(), st.lists).map(
    lambda value: json.dumps({"gaze2d": value}).encode())))  # fmt: skip
def test_no_packet_becomes_anything_else_than_a_position(payload: bytes) -> None:
    is_gaze(payload, is_expected=False)
    try:
        found = read_gaze_packet(payload)
    except UnusableGaze:
        return
    assert found is None or all(math.isfinite(value) for value in found)
