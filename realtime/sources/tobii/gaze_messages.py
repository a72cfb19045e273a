"""Reads the gaze of Tobii Pro Glasses 3: one JSON object per RTP packet, empty where no eye is seen. Pure."""

from __future__ import annotations

import json
import math

MAX_NORM = 1e4
_OTHER_KEYS = frozenset(("accelerometer", "gyroscope", "magnetometer", "direction", "tag"))


class UnusableGaze(Exception):
    """The reason why a packet has no gaze."""


def is_gaze(payload: bytes, *, is_expected: bool) -> bool:
    """Whether a packet is one of gaze; the streams of movements, sync and events have other keys.

    is_expected: whether it came in the stream that usually has gaze, where an empty object is gaze without an eye.
    """
    try:
        keys = json.loads(payload).keys()
    except (ValueError, AttributeError, RecursionError):
        return is_expected
    return "gaze2d" in keys or (is_expected and not keys & _OTHER_KEYS)


def read_gaze_packet(payload: bytes) -> tuple[float, float] | None:
    """Read x and y, 0..1 of the scene from its top left; None without gaze. Raises `UnusableGaze`."""
    try:
        fields = json.loads(payload)
    except (ValueError, RecursionError):
        raise UnusableGaze("no JSON") from None
    if not isinstance(fields, dict):
        raise UnusableGaze("no JSON object")
    point = fields.get("gaze2d")
    if point is None or point == []:
        return None
    try:
        x, y = (float(value) for value in point if not isinstance(value, str | bool))
    except (TypeError, ValueError, OverflowError):
        raise UnusableGaze("gaze2d is no pair of numbers") from None
    if not (math.isfinite(x) and math.isfinite(y) and max(abs(x), abs(y)) <= MAX_NORM):
        raise UnusableGaze("position")
    return x, y
