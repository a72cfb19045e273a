"""The messages of wire v1 as values. Pure.

`timestamp` is seconds on the source's clock, `_ns` the publishing host's monotonic clock. Pixels: x right, y down,
the centre of the top-left pixel is (0, 0).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from realtime.comms.envelope import map_of, number, unpack, whole
from realtime.comms.mask_encoding import Encoding, decode_mask, encode_mask
from realtime.comms.object3d import Object3dMessage
from realtime.comms.references import STATES, envelope, frame_ref
from realtime.errors import WireError
from realtime.types import FrameRef, GazeRef, KeyframeRef, MaskResult, TimingNs, mask_shape


@dataclass(frozen=True, slots=True, eq=False)
class MaskMessage(MaskResult):
    """`mask`: a `MaskResult` as it was published."""

    stream: str = ""
    seq: int = 0
    published_ns: int = 0

    @classmethod
    def from_result(cls, result: MaskResult) -> MaskMessage:
        """Make the message of a tracker's result; stream, number and time are filled in when it is published."""
        return cls(**{name: getattr(result, name) for name in MaskResult.__slots__})

    def to_fields(self, encoding: Encoding = "packbits+zstd") -> dict[str, Any]:
        """The map as published, envelope fields excepted; box, area and centroid are taken from the mask."""
        box, area, centroid = mask_shape(self.mask)
        return {
            "frame": asdict(self.frame),
            "keyframe": asdict(self.keyframe),
            "gaze": asdict(self.gaze),
            "carried_ms": self.carried_ms,
            "object": self.object,
            "state": self.state,
            "score": self.score,
            "confidence": self.confidence,
            "box": None if box is None else list(box),
            "area": area,
            "centroid": None if centroid is None else list(centroid),
            "mask": None if self.mask is None else encode_mask(self.mask, encoding),
            "timing_ns": asdict(self.timing_ns),
            "captured_ns": self.captured_ns,
        }

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> MaskMessage:
        """Read a map; raises `WireError`."""
        frame, keyframe, gaze, timing = (map_of(fields, key) for key in ("frame", "keyframe", "gaze", "timing_ns"))
        state = fields.get("state")
        if state not in STATES:
            raise WireError(f"state {state!r}; known are {', '.join(STATES)}")
        mask = fields.get("mask")
        if (mask is None) != (state == "lost"):
            raise WireError(f"state {state} {'without' if mask is None else 'with'} a mask")
        return cls(
            frame=frame_ref(frame),
            keyframe=KeyframeRef(whole(keyframe, "index", "keyframe"), number(keyframe, "timestamp", "keyframe")),
            gaze=GazeRef(*(number(gaze, key, "gaze") for key in ("timestamp", "x", "y", "confidence", "radius"))),
            carried_ms=number(fields, "carried_ms", "mask"),
            object=whole(fields, "object", "mask"),
            state=state,
            score=number(fields, "score", "mask"),
            confidence=number(fields, "confidence", "mask"),
            mask=None if mask is None else decode_mask(map_of(fields, "mask")),
            timing_ns=TimingNs(*(whole(timing, key, "timing_ns") for key in TimingNs.__slots__)),
            captured_ns=whole(fields, "captured_ns", "mask") if "captured_ns" in fields else 0,
            **envelope(fields),
        )


@dataclass(frozen=True, slots=True)
class OverlayMessage:
    """`overlay`: the frame with the mask drawn, as JPEG bytes."""

    frame: FrameRef
    jpeg: bytes
    stream: str = ""
    seq: int = 0
    published_ns: int = 0

    def to_fields(self) -> dict[str, Any]:
        """The map as published, envelope fields excepted."""
        return {"frame": asdict(self.frame), "jpeg": self.jpeg}

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> OverlayMessage:
        """Read a map; raises `WireError`."""
        jpeg = fields.get("jpeg")
        if not isinstance(jpeg, bytes):
            raise WireError(f"overlay.jpeg must be bytes, got {type(jpeg).__name__}")
        return cls(frame_ref(map_of(fields, "frame")), jpeg, **envelope(fields))


@dataclass(frozen=True, slots=True)
class KeyframeMessage:
    """`keyframe`: a frame was encoded, in `encode_ms`."""

    frame: FrameRef
    encode_ms: float
    stream: str = ""
    seq: int = 0
    published_ns: int = 0

    def to_fields(self) -> dict[str, Any]:
        """The map as published, envelope fields excepted."""
        return {"frame": asdict(self.frame), "encode_ms": self.encode_ms}

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> KeyframeMessage:
        """Read a map; raises `WireError`."""
        return cls(frame_ref(map_of(fields, "frame")), number(fields, "encode_ms", "keyframe"), **envelope(fields))


@dataclass(frozen=True, slots=True)
class HealthMessage:
    """`health`, once a second: how the publisher is. `rates` in Hz, `latency_ms` percentiles by name.

    wall_ns: the host's wall clock minus its monotonic clock, which makes a `_ns` a time of day; 0 from a publisher that
        does not say.
    """

    state: Literal["starting", "running", "degraded", "stopping"]
    reason: str
    rates: dict[str, float]
    latency_ms: dict[str, dict[str, float]]
    dropped: dict[str, int]
    memory_mib: float
    engine: dict[str, Any]
    wall_ns: int = 0
    stream: str = ""
    seq: int = 0
    published_ns: int = 0

    def to_fields(self) -> dict[str, Any]:
        """The map as published, envelope fields excepted."""
        return {key: getattr(self, key) for key in
                ("state", "reason", "rates", "latency_ms", "dropped", "memory_mib", "engine", "wall_ns")}  # fmt: skip

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> HealthMessage:
        """Read a map; raises `WireError`."""
        state = fields.get("state")
        if state not in ("starting", "running", "degraded", "stopping"):
            raise WireError(f"health.state {state!r}; known are starting, running, degraded, stopping")
        return cls(
            state=state,
            reason=str(fields.get("reason", "")),
            rates=map_of(fields, "rates"),
            latency_ms=map_of(fields, "latency_ms"),
            dropped=map_of(fields, "dropped"),
            memory_mib=number(fields, "memory_mib", "health"),
            engine=map_of(fields, "engine"),
            wall_ns=whole(fields, "wall_ns", "health") if "wall_ns" in fields else 0,
            **envelope(fields),
        )


Message = MaskMessage | OverlayMessage | KeyframeMessage | HealthMessage | Object3dMessage
MESSAGES: dict[str, type[Message]] = {
    "mask": MaskMessage, "overlay": OverlayMessage, "keyframe": KeyframeMessage, "health": HealthMessage,
    "object3d": Object3dMessage,
}  # fmt: skip


def read_message(topic: str, payload: bytes) -> Message:
    """Read the payload of a known topic; raises `WireError`."""
    if topic not in MESSAGES:
        raise WireError(f"topic {topic!r}; known are {', '.join(MESSAGES)}")
    try:
        return MESSAGES[topic].from_fields(unpack(payload))
    except WireError as error:
        raise WireError(f"{topic}: {error}") from None
