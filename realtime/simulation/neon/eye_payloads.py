"""Packs gaze and eye events as the app on the phone sends them, network byte order. Pure."""

from __future__ import annotations

import struct
from typing import Literal

KEEP_ALIVE = struct.pack("!i", 5)
DUAL_MONOCULAR_BYTES = 17


def pack_gaze(x: float, y: float, is_worn: bool, length: int = 9) -> bytes:
    """Pack a gaze point in the form of `length` bytes, with zeros for what the form has beside it."""
    data = struct.pack("!ffB", x, y, 255 if is_worn else 0)
    if length == DUAL_MONOCULAR_BYTES:
        data += struct.pack("!ff", x, y)
    return data.ljust(length, b"\0")


def pack_onset(kind: Literal["saccade", "fixation"], start_ns: int) -> bytes:
    """Pack the onset of a saccade or fixation, unix ns."""
    return struct.pack("!iq", 2 if kind == "saccade" else 3, start_ns)


def pack_movement(kind: Literal["saccade", "fixation"], start_ns: int, end_ns: int, x: float, y: float) -> bytes:
    """Pack a saccade or fixation that has ended, unix ns, at one place, px."""
    return struct.pack("!iqq10f", kind == "fixation", start_ns, end_ns, x, y, x, y, x, y, 0.0, 0.0, 0.0, 0.0)


def pack_blink(start_ns: int, end_ns: int) -> bytes:
    """Pack a blink that has ended, unix ns."""
    return struct.pack("!iqq", 4, start_ns, end_ns)
