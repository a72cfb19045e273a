"""Reads the messages of the bridge to Project Aria's client. Pure.

Each is `GCA1`, the lengths of header and payload (uint32, little-endian), a JSON object and the payload. Types: hello,
note (text), failed (text), end, frame (time_ns, width, height, channels; pixels, red-green-blue or grey), gaze
(time_ns; x, y of 0..1, absent without gaze; flaw).
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from realtime.types import Image

MAGIC = b"GCA1"
MAX_HEADER_BYTES, MAX_PAYLOAD_BYTES = 65_536, 200_000_000
MAX_NORM, MAX_TIME_NS = 1e4, 1 << 62
_LENGTHS = struct.Struct("<4sII")


class BridgeError(Exception):
    """The reason why messages, or one of them, cannot be used."""


@dataclass(frozen=True, slots=True)
class BridgeMessage:
    """A message: its type, fields and payload."""

    kind: str
    fields: dict[str, Any]
    payload: bytes

    @property
    def time_ns(self) -> int:
        """The device's time; raises `BridgeError`."""
        time_ns = self.fields.get("time_ns")
        if type(time_ns) is not int or not 0 <= time_ns < MAX_TIME_NS:
            raise BridgeError("time")
        return time_ns

    @property
    def text(self) -> str:
        """The text of a note or failure, on one line."""
        return " ".join(str(self.fields.get("text", "")).split())[:300]


def read_message(read: Callable[[int], bytes]) -> BridgeMessage:
    """Read the next message; raises `EOFError` at the end, `BridgeError` where this is no message."""
    head = _read_exactly(read, _LENGTHS.size)
    magic, header_size, payload_size = _LENGTHS.unpack(head)
    if magic != MAGIC or header_size > MAX_HEADER_BYTES or payload_size > MAX_PAYLOAD_BYTES:
        raise BridgeError("it sends no messages of the bridge")
    header, payload = _read_exactly(read, header_size), _read_exactly(read, payload_size)
    try:
        fields = json.loads(header)
    except (ValueError, RecursionError):
        fields = None
    if not isinstance(fields, dict):
        raise BridgeError("it sends no messages of the bridge")
    return BridgeMessage(str(fields.get("type", "")), fields, payload)


def read_pixels(message: BridgeMessage) -> Image:
    """Return a frame's pixels, (H, W, 3) blue-green-red; raises `BridgeError`."""
    width, height, channels = (message.fields.get(key) for key in ("width", "height", "channels"))
    if not (type(width) is int and type(height) is int and width > 0 and height > 0 and channels in (1, 3)):
        raise BridgeError("size")
    if width * height * channels != len(message.payload):
        raise BridgeError("pixels")
    pixels = np.frombuffer(message.payload, np.uint8).reshape(height, width, channels)
    return np.ascontiguousarray(pixels[:, :, ::-1] if channels == 3 else np.repeat(pixels, 3, axis=2))


def read_point(message: BridgeMessage) -> tuple[float, float] | None:
    """Return a gaze sample's x and y; None without gaze. Raises `BridgeError`."""
    if "x" not in message.fields and "y" not in message.fields:
        return None
    point = [
        float(value)
        for value in (message.fields.get("x"), message.fields.get("y"))
        if isinstance(value, int | float) and not isinstance(value, bool) and -MAX_NORM <= value <= MAX_NORM
    ]
    if len(point) != 2:
        raise BridgeError("position")
    return point[0], point[1]


def _read_exactly(read: Callable[[int], bytes], size: int) -> bytes:
    data = read(size) if size else b""
    while len(data) < size:
        more = read(size - len(data))
        if not more:
            raise EOFError
        data += more
    return data
