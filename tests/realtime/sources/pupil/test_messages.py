"""What a device sends, well and badly made."""

from __future__ import annotations

import contextlib
import math
import struct
from typing import Any

import cv2
import msgpack
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from realtime.sources.pupil.messages import (
    MalformedMessage,
    PupilGazeDatum,
    read_frame_header,
    read_gaze,
    read_jpeg_size,
    read_pixels,
)
from tests.realtime.sources.video.clips import picture

GAZE = {"topic": "gaze.2d.01.", "norm_pos": [0.25, 0.75], "confidence": 0.9, "timestamp": 12.5, "base_data": []}
HEAD = {"topic": "frame.world", "width": 64, "height": 48, "index": 7, "timestamp": -3.5, "format": "jpeg"}
JPEG = cv2.imencode(".jpg", picture(5))[1].tobytes()
NOISE = cv2.imencode(".jpg", np.random.default_rng(0).integers(0, 255, (48, 64, 3)).astype(np.uint8))[1].tobytes()


def gaze(**changes: Any) -> list[bytes]:
    return [b"gaze.2d.01.", msgpack.packb(GAZE | changes)]


def frame(raw: bytes = JPEG, **changes: Any) -> list[bytes]:
    return [b"frame.world", msgpack.packb(HEAD | changes), raw]


def test_norm_pos_is_turned_to_origin_top_left() -> None:
    assert read_gaze(gaze()) == PupilGazeDatum(0.25, 0.25, 0.9, 12.5)


def test_gaze_outside_the_frame_is_kept() -> None:
    assert read_gaze(gaze(norm_pos=[-0.5, 1.5])) == PupilGazeDatum(-0.5, -0.5, 0.9, 12.5)


@pytest.mark.parametrize(("given_as", "kept"), [(1.2, 1.0), (-0.1, 0.0), (0, 0.0), (1, 1.0)])
def test_confidence_is_kept_within_its_bounds(given_as: float, kept: float) -> None:
    assert read_gaze(gaze(confidence=given_as)).confidence == kept


NESTED = b"\x91" * 100_000 + b"\xc0"
BAD_MAPS = [
    (b"", "not msgpack"),
    (b"\xc1", "not msgpack"),
    (msgpack.packb(GAZE)[:-9], "not msgpack"),
    (msgpack.packb(GAZE) + b"\x00", "not msgpack"),
    (NESTED, "not msgpack"),
    (b"\xdf\xff\xff\xff\xff", "not msgpack"),
    (b"\xdd\xff\xff\xff\xff\x00", "not msgpack"),
    (b"\xc6\xff\xff\xff\xff\x00", "not msgpack"),
    (b"\x81\xa1a\xc7\x04\x05abcd", "not msgpack"),
    (b"\x81\x90\x01", "not msgpack"),
    (b"\x81\x01\x01", "not msgpack"),
    (b"\x81\xa1\xff\x01", "not msgpack"),
    (msgpack.packb([1, 2]), "not a map"),
    (msgpack.packb(None), "not a map"),
    (msgpack.packb({"x": bytes(2**20)}), "oversize"),
]


@pytest.mark.parametrize(("data", "reason"), BAD_MAPS)
def test_hostile_maps_are_refused(data: bytes, reason: str) -> None:
    with pytest.raises(MalformedMessage, match=f"^{reason}$"):
        read_gaze([b"gaze.", data])
    with pytest.raises(MalformedMessage, match=f"^{reason}$"):
        read_frame_header([b"frame.world", data, JPEG])


BAD_GAZE = [
    ([b"gaze."], "truncated"),
    (gaze(norm_pos=None), "no position"),
    (gaze(norm_pos=[math.nan, 0.5]), "no position"),
    (gaze(norm_pos=[0.5, math.inf]), "out of range"),
    (gaze(norm_pos=[0.5, 1e300]), "out of range"),
    (gaze(norm_pos=[0.5]), "wrong type"),
    (gaze(norm_pos="ab"), "wrong type"),
    (gaze(norm_pos=["a", "b"]), "wrong type"),
    (gaze(norm_pos=[True, False]), "wrong type"),
    (gaze(norm_pos={"0": 1}), "wrong type"),
    (gaze(confidence=None), "wrong type"),
    (gaze(confidence="high"), "wrong type"),
    (gaze(confidence=math.nan), "not finite"),
    (gaze(timestamp=None), "wrong type"),
    (gaze(timestamp=math.nan), "not finite"),
    (gaze(timestamp=-math.inf), "not finite"),
    (gaze(timestamp=1e300), "out of range"),
    (gaze(timestamp=[1]), "wrong type"),
]


@pytest.mark.parametrize(("parts", "reason"), BAD_GAZE)
def test_bad_gaze_is_refused(parts: list[bytes], reason: str) -> None:
    with pytest.raises(MalformedMessage, match=f"^{reason}$"):
        read_gaze(parts)


BAD_FRAMES = [
    ([b"frame.world"], "truncated"),
    (frame()[:2], "truncated"),
    (frame(width=None), "wrong type"),
    (frame(width=64.0), "wrong type"),
    (frame(height=True), "wrong type"),
    (frame(width=0), "size"),
    (frame(width=-64), "size"),
    (frame(width=2**40), "size"),
    (frame(width=16_000, height=16_000), "size"),
    (frame(index="7"), "wrong type"),
    (frame(index=-1), "out of range"),
    (frame(index=7.5), "wrong type"),
    (frame(timestamp=math.nan), "not finite"),
    (frame(timestamp="now"), "wrong type"),
    (frame(format=None), "wrong type"),
    (frame(format="h264"), "format"),
    (frame(bytes(64 * 48), format="yuv"), "size"),
    (frame(b""), "size"),
    (frame(b"no picture at all"), "size"),
    (frame(NOISE[: len(NOISE) // 2]), "undecodable"),
    (frame(width=65), "size"),
    (frame(bytes(64 * 48 * 3 - 1), format="bgr"), "size"),
    (frame(bytes(64 * 48 * 3), format="gray"), "size"),
    (frame(JPEG[:-400] + bytes(398) + JPEG[-2:], format="bgr"), "size"),
]


@pytest.mark.parametrize(("parts", "reason"), BAD_FRAMES)
def test_bad_frame_is_refused(parts: list[bytes], reason: str) -> None:
    with pytest.raises(MalformedMessage, match=f"^{reason}$"):
        read_pixels(read_frame_header(parts), parts[2])


def test_jpeg_larger_than_its_header_is_not_decoded() -> None:
    at = JPEG.index(b"\xff\xc0")
    bomb = JPEG[: at + 5] + struct.pack(">HH", 65_000, 65_000) + JPEG[at + 9 :]
    assert read_jpeg_size(bomb) == (65_000, 65_000)
    with pytest.raises(MalformedMessage, match="size"):
        read_pixels(read_frame_header(frame()), bomb)


def test_jpeg_with_broken_tables_is_undecodable() -> None:
    at = JPEG.index(b"\xff\xc4")
    broken = JPEG[: at + 4] + b"\xff" * 64 + JPEG[at + 68 :]
    with pytest.raises(MalformedMessage, match="undecodable"):
        read_pixels(read_frame_header(frame()), broken)


def test_a_jpeg_without_its_end_is_decoded() -> None:
    """As some UVC cameras send them."""
    whole = read_pixels(read_frame_header(frame()), NOISE)
    assert np.array_equal(read_pixels(read_frame_header(frame()), NOISE[:-2]), whole)


@pytest.mark.parametrize(("columns", "rows"), [(2, 2), (2, 1), (1, 1)])
def test_yuv_is_decoded_at_any_subsampling(columns: int, rows: int) -> None:
    image = np.zeros((48, 64, 3), np.uint8)
    image[:24], image[24:] = (30, 60, 220), (200, 40, 10)
    luma, red, blue = cv2.split(cv2.cvtColor(image, cv2.COLOR_BGR2YCrCb))
    raw = b"".join(plane.tobytes() for plane in (luma, blue[::rows, ::columns], red[::rows, ::columns]))
    found = read_pixels(read_frame_header(frame(format="yuv")), raw)
    assert np.abs(found.astype(int) - image).max() <= 3


def test_an_unknown_format_is_named() -> None:
    with pytest.raises(MalformedMessage) as raised:
        read_frame_header(frame(format="h264"))
    assert raised.value.detail == "format is 'h264', expected jpeg, bgr, gray, yuv"


@pytest.mark.parametrize("padding", [b"", bytes(37)])
def test_jpeg_is_decoded_with_padding_behind_its_end(padding: bytes) -> None:
    image = read_pixels(read_frame_header(frame()), JPEG + padding)
    assert image.shape == (48, 64, 3)
    assert abs(int(image[24, 32, 0]) - 70) <= 2


def test_bgr_and_gray_become_three_channels() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    bgr = read_pixels(read_frame_header(frame(format="bgr")), pixels.tobytes())
    assert (bgr == pixels).all()
    assert bgr.flags.writeable
    grey = read_pixels(read_frame_header(frame(format="gray")), pixels[:, :, 0].tobytes())
    assert (grey == pixels[:, :, :1]).all()
    assert grey.shape == (48, 64, 3)
    assert grey.flags.c_contiguous


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text(max_size=5) | st.binary(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)  # of a busy machine, not of the data
@given(st.dictionaries(st.sampled_from([*GAZE, *HEAD]), ANYTHING), st.binary(max_size=200))
def test_any_map_is_read_or_refused(changes: dict[str, Any], raw: bytes) -> None:
    for read, fields in ((read_gaze, GAZE), (read_frame_header, HEAD)):
        with contextlib.suppress(MalformedMessage):
            assert read([b"topic", msgpack.packb(fields | changes), raw])


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.lists(st.binary(max_size=60), min_size=1, max_size=4), st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(parts: list[bytes], raw: bytes) -> None:
    for read in (read_gaze, read_frame_header):
        with pytest.raises(MalformedMessage):
            read(parts)
    for start in (b"", b"\xff\xd8", JPEG[:200]):
        with pytest.raises(MalformedMessage):
            read_pixels(read_frame_header(frame()), start + raw)
