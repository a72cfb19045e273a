"""What messages of several kinds share: the frame that they are about, states, the envelope's fields. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

from realtime.comms.envelope import number, whole
from realtime.errors import WireError
from realtime.types import FrameRef, State

STATES: tuple[State, ...] = get_args(State)


def frame_ref(fields: Mapping[str, Any]) -> FrameRef:
    """Read a frame's map; raises `WireError`."""
    index, width, height = (whole(fields, key, "frame") for key in ("index", "width", "height"))
    return FrameRef(index, number(fields, "timestamp", "frame"), width, height)


def envelope(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Read what every message carries; raises `WireError`."""
    stream = fields.get("stream")
    if not isinstance(stream, str):
        raise WireError(f"stream must be a string, got {type(stream).__name__}")
    return {
        "stream": stream,
        "seq": whole(fields, "seq", "message"),
        "published_ns": whole(fields, "published_ns", "message"),
    }
