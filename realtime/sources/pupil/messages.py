"""Reads and validates the messages of a Pupil-compatible device. Pure.

Layout after Pupil Capture's network API: topic, msgpack map, then raw bytes. Anything that does not fit raises
`MalformedMessage` with one of a few reasons, which are counted.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import cv2
import msgspec
import numpy as np
from numpy.typing import NDArray

from engines import Image
from engines.pictures import decode_jpeg
from realtime.comms.envelope import unpack_msgpack
from realtime.errors import WireError
from realtime.validation import read_value

MAX_MAP_BYTES = 2**20
"""A gaze datum with both eyes' pupil data is some 2 kB."""
MAX_SIDE_PX = 16_384
MAX_PIXELS = 40_000_000
"""More than 8K video; a JPEG of some kB may decode to gigabytes."""
DEPTH_FORMATS: dict[str, np.dtype[Any]] = {"depth16": np.dtype("<u2"), "depth32f": np.dtype("<f4")}
MAX_TIME_S = 1e11
MIN_SCALE_M = 1e-6
MAX_INDEX = 2**53
MAX_NORM = 1e4
"""Gaze outside the picture is fine; a number beyond this is invalid and would overflow in pixels."""


FRAME_FORMATS = ("jpeg", "bgr", "gray", "yuv")


class MalformedMessage(Exception):
    """A message that cannot be used; the argument is the reason that it is counted under.

    detail: the reason with the values that came, for one sentence; a peer could invent any number of these.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason)
        self.detail = detail or reason


class _WrongType(MalformedMessage):
    """A field of a wrong type. Which one is not counted: a peer could invent any number of reasons."""

    def __init__(self, explanation: str) -> None:
        super().__init__("wrong type", explanation)


@dataclass(frozen=True, slots=True)
class FrameHeader:
    """A frame's description as sent, sizes in pixels, timestamp in device seconds.

    depth_scale: metres of one step of `depth16`; None where the device does not send it.
    """

    width: int
    height: int
    index: int
    timestamp: float
    format: str
    depth_scale: float | None = None


class _GazeFields(msgspec.Struct):
    timestamp: float
    confidence: float
    norm_pos: Annotated[list[float], msgspec.Meta(min_length=2)] | None = None


@dataclass(frozen=True, slots=True)
class PupilGazeDatum:
    """A gaze datum: x, y in 0..1 of the picture with the origin **top left**, timestamp in device seconds."""

    x: float
    y: float
    confidence: float
    timestamp: float


def read_frame_header(parts: Sequence[bytes], formats: Collection[str] = FRAME_FORMATS) -> FrameHeader:
    """Read and check the header of a `frame.world` message or of another kind of frame."""
    if len(parts) < 3:
        raise MalformedMessage("truncated")
    fields = _read_map(parts)
    if isinstance(index := fields.get("index"), float) and index.is_integer():  # some senders have no whole numbers
        fields["index"] = int(index)
    head = read_value(fields, FrameHeader, _WrongType)
    sides = head.width, head.height
    if min(sides) <= 0 or max(sides) > MAX_SIDE_PX or math.prod(sides) > MAX_PIXELS:
        raise MalformedMessage("size")
    if not 0 <= head.index <= MAX_INDEX:
        raise MalformedMessage("out of range", f"index is {head.index}")
    _check_time(head.timestamp)
    if head.depth_scale is not None and not MIN_SCALE_M <= head.depth_scale <= 1:
        raise MalformedMessage(
            "out of range", f"depth_scale is {head.depth_scale:g}, expected {MIN_SCALE_M:g} to 1 metre"
        )
    if head.format not in formats:
        raise MalformedMessage("format", f"format is {head.format!r:.40}, expected {', '.join(formats)}")
    return head


def read_pixels(head: FrameHeader, raw: bytes) -> Image:
    """Decode a frame of the header's size to (H, W, 3) BGR; grey becomes three equal channels."""
    if head.format == "jpeg":
        size = read_jpeg_size(raw)
        if size != (head.width, head.height):
            found = "no JPEG" if size is None else f"{size[0]} x {size[1]}"
            raise MalformedMessage("size", f"a JPEG is {found}, its header says {head.width} x {head.height}")
        image = decode_jpeg(raw, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
        if image is None or image.shape != (head.height, head.width, 3):
            raise MalformedMessage("undecodable", "a JPEG is damaged, or was cut off")
        return np.asarray(image, np.uint8)
    if head.format == "yuv":
        return _decode_yuv(head, raw)
    channels = 3 if head.format == "bgr" else 1
    if len(raw) != head.width * head.height * channels:
        raise _wrong_length(head, raw)
    pixels = np.frombuffer(raw, np.uint8).reshape(head.height, head.width, channels)
    return np.repeat(pixels, 3, axis=2) if channels == 1 else pixels.copy()


def _decode_yuv(head: FrameHeader, raw: bytes) -> Image:
    """Decode planes of Y, U and V as Pupil Capture sends them: a JPEG's, so full range, at 4:2:0, 4:2:2 or 4:4:4."""
    wide, high = head.width, head.height
    for columns, rows in ((2, 2), (2, 1), (1, 1)):
        width, height = -(-wide // columns), -(-high // rows)
        if len(raw) == wide * high + 2 * width * height:
            break
    else:
        raise _wrong_length(head, raw)
    planes = np.frombuffer(raw, np.uint8)
    luma = planes[: wide * high].reshape(high, wide)
    blue, red = planes[wide * high :].reshape(2, height, width).repeat(rows, axis=1).repeat(columns, axis=2)
    ycrcb = np.stack([luma, red[:high, :wide], blue[:high, :wide]], axis=2)
    return np.asarray(cv2.cvtColor(ycrcb, cv2.COLOR_YCrCb2BGR), np.uint8)


def _wrong_length(head: FrameHeader, raw: bytes) -> MalformedMessage:
    return MalformedMessage("size", f"{len(raw)} bytes are no {head.format} of {head.width} x {head.height}")


def read_depth(head: FrameHeader, raw: bytes) -> NDArray[np.uint16] | NDArray[np.float32]:
    """Decode a `frame.depth` message to (H, W): `depth16` little-endian steps, `depth32f` little-endian m."""
    dtype = DEPTH_FORMATS[head.format]
    if len(raw) != head.width * head.height * dtype.itemsize:
        raise MalformedMessage("size")
    return np.frombuffer(raw, dtype).astype(dtype.newbyteorder("="), copy=False).reshape(head.height, head.width)


def read_gaze(parts: Sequence[bytes]) -> PupilGazeDatum:
    """Read a `gaze.` message; converts Pupil's origin, bottom left, to top left.

    A datum without a usable `norm_pos` is refused as "no position", which the fixation filter sees as a gap: a sample
    with confidence 0 would need a position.
    """
    if len(parts) < 2:
        raise MalformedMessage("truncated")
    fields = read_value(_read_map(parts), _GazeFields, _WrongType)
    _check_time(fields.timestamp)
    if fields.norm_pos is None:
        raise MalformedMessage("no position")
    x, y = fields.norm_pos[:2]
    if math.isnan(x) or math.isnan(y):
        raise MalformedMessage("no position")
    if not (abs(x) <= MAX_NORM and abs(y) <= MAX_NORM):
        raise MalformedMessage("out of range")
    if math.isnan(fields.confidence):
        raise MalformedMessage("not finite")
    return PupilGazeDatum(x, 1.0 - y, min(1.0, max(0.0, fields.confidence)), fields.timestamp)


def read_jpeg_size(data: bytes) -> tuple[int, int] | None:
    """Read (width, height) from a JPEG's frame header; None where there is none (ITU-T T.81)."""
    if not data.startswith(b"\xff\xd8"):
        return None
    at = 2
    while at + 9 <= len(data) and data[at] == 0xFF:
        marker, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        if marker == 0xFF:  # a fill byte
            at += 1
        elif 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = (int.from_bytes(data[at + i : at + i + 2], "big") for i in (5, 7))
            return width, height
        else:
            at += 2 + length
    return None


def _read_map(parts: Sequence[bytes]) -> dict[str, Any]:
    if len(parts[1]) > MAX_MAP_BYTES:
        raise MalformedMessage("oversize")
    try:
        fields = unpack_msgpack(parts[1])
    except WireError as error:
        raise MalformedMessage("not msgpack") from error
    if not isinstance(fields, dict):
        raise MalformedMessage("not a map")
    return fields


def _check_time(timestamp: float) -> None:
    if not math.isfinite(timestamp):
        raise MalformedMessage("not finite", f"timestamp is {timestamp}")
    if abs(timestamp) > MAX_TIME_S:
        raise MalformedMessage("out of range", f"timestamp is {timestamp:g}, expected seconds")
