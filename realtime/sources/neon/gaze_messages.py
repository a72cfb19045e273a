"""Reads the payloads of Neon's gaze and eye events, network byte order. Pure.

Gaze has been extended by several versions of the app; all begin alike, so that a length that is not known yet is read
as far as it is known.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from typing import Literal

_GAZE = struct.Struct("!ffB")
_OTHER_EYE = struct.Struct("!ff")
_DUAL_MONOCULAR_BYTES = 17
_KIND, _ONSET, _BLINK = struct.Struct("!i"), struct.Struct("!iq"), struct.Struct("!iqq")
_WORN = 255
_MAX_PX = 1e6
_MAX_NS = 4_000_000_000 * 10**9


class UnusableData(Exception):
    """A payload that cannot be used; the argument is the reason that it is counted under."""


@dataclass(frozen=True, slots=True)
class GazePoint:
    """A gaze point, px of the scene camera with the origin top left, and whether the glasses are worn."""

    x: float
    y: float
    is_worn: bool


@dataclass(frozen=True, slots=True)
class ReportedEvent:
    """An onset of a saccade or fixation, or a whole blink, in unix ns of the device."""

    kind: Literal["saccade", "fixation", "blink"]
    start_ns: int
    end_ns: int | None = None


def read_gaze(data: bytes) -> GazePoint:
    """Read a gaze payload of any length; the points of two eyes, an early form, are averaged."""
    if len(data) < _GAZE.size:
        raise UnusableData("truncated")
    x, y, worn = _GAZE.unpack_from(data)
    if len(data) == _DUAL_MONOCULAR_BYTES:
        other_x, other_y = _OTHER_EYE.unpack_from(data, _GAZE.size)
        x, y = (x + other_x) / 2, (y + other_y) / 2
    if not (math.isfinite(x) and math.isfinite(y)):
        raise UnusableData("no position")
    if max(abs(x), abs(y)) > _MAX_PX:
        raise UnusableData("out of range")
    return GazePoint(x, y, worn == _WORN)


def read_event(data: bytes) -> ReportedEvent | None:
    """Read an eye event; None for the ends of saccades and fixations and for signs of life, which tell nothing new."""
    if len(data) < _KIND.size:
        raise UnusableData("event truncated")
    kind = _KIND.unpack_from(data)[0]
    if kind not in (2, 3, 4):
        return None
    layout = _BLINK if kind == 4 else _ONSET
    if len(data) < layout.size:
        raise UnusableData("event truncated")
    times_ns = layout.unpack_from(data)[1:]
    if not all(0 < time_ns < _MAX_NS for time_ns in times_ns) or times_ns[-1] < times_ns[0]:
        raise UnusableData("event out of range")
    if kind == 4:
        return ReportedEvent("blink", *times_ns)
    return ReportedEvent("saccade" if kind == 2 else "fixation", *times_ns)
