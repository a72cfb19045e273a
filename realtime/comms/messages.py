"""Defines the messages of wire v1, and reads them from maps. Pure.

`timestamp` is seconds on the source's clock, `_ns` the publishing host's monotonic clock. Pixels: x right, y down,
the centre of the top-left pixel is (0, 0).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Annotated, Any, Literal, get_args

import msgspec

from realtime.comms.envelope import Envelope, PublishedMessage, unpack
from realtime.comms.mask_encoding import Encoding, decode_mask, encode_mask
from realtime.comms.object3d import Object3dMessage
from realtime.errors import WireError
from realtime.types import (
    Confirmation,
    FiniteFloat,
    FoundWord,
    FrameRef,
    GazeRef,
    KeyframeRef,
    LiveCorrection,
    MaskAlternative,
    MaskKind,
    MaskMethod,
    MaskPrompt,
    MaskResult,
    RecognizedName,
    State,
    TimingNs,
    mask_shape,
)
from realtime.validation import read_value

STATES: tuple[State, ...] = get_args(State)


MAX_ALTERNATIVES = 8
"""More are refused: a hostile peer must not choose how much memory is allocated."""


class AlternativeFields(msgspec.Struct):
    """The fields of one of `alternatives`, the mask still encoded."""

    mask: dict[str, Any]
    probability: FiniteFloat
    kind: MaskKind


class MaskFields(Envelope, kw_only=True):
    """The fields of a `mask` message as published, the mask still encoded."""

    frame: FrameRef
    keyframe: KeyframeRef
    gaze: GazeRef
    carried_ms: FiniteFloat
    object: int
    state: State
    score: FiniteFloat
    confidence: FiniteFloat
    mask: dict[str, Any] | None = None
    timing_ns: TimingNs
    captured_ns: int = 0
    method: MaskMethod = "model"
    alternatives: Annotated[list[AlternativeFields], msgspec.Meta(max_length=MAX_ALTERNATIVES)] = []  # noqa: RUF012
    label: RecognizedName | None = None
    confirmed: Confirmation | None = None
    word: FoundWord | None = None
    prompt: MaskPrompt = "gaze"
    corrected: LiveCorrection | None = None


@dataclass(frozen=True, slots=True, eq=False)
class MaskMessage(MaskResult):
    """A `MaskResult` as it was published under the topic `mask`."""

    stream: str = ""
    seq: int = 0
    published_ns: int = 0

    @classmethod
    def from_result(cls, result: MaskResult) -> MaskMessage:
        """Make the message of a tracker's result; publishing fills in stream, number and time."""
        return cls(**{name: getattr(result, name) for name in MaskResult.__slots__})

    def to_fields(self, encoding: Encoding = "packbits+zstd") -> dict[str, Any]:
        """Return the map as published, without the envelope's fields; box, area and centroid come from the mask."""
        box, area, centroid = mask_shape(self.mask)
        fields: dict[str, Any] = {
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
            "method": self.method,
        }
        if self.label is not None:
            fields["label"] = asdict(self.label)
        if self.confirmed is not None:
            fields["confirmed"] = asdict(self.confirmed)
        if self.word is not None:
            fields["word"] = asdict(self.word)
        if self.prompt != "gaze":
            fields["prompt"] = self.prompt
        if self.corrected is not None:
            fields["corrected"] = asdict(self.corrected)
        if self.alternatives:
            fields["alternatives"] = [
                {"mask": encode_mask(each.mask, "coco_rle"), "probability": each.probability, "kind": each.kind}
                for each in self.alternatives
            ]
        return fields

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> MaskMessage:
        """Read a map; raises `WireError`."""
        read = read_value(fields, MaskFields, WireError)
        if (read.mask is None) != (read.state == "lost"):
            raise WireError(f"state {read.state} {'without' if read.mask is None else 'with'} a mask")
        mask = None if read.mask is None else decode_mask(read.mask)
        alternatives = tuple(
            MaskAlternative(decode_mask(each.mask), each.probability, each.kind) for each in read.alternatives
        )
        return cls(**{**msgspec.structs.asdict(read), "mask": mask, "alternatives": alternatives})


@dataclass(frozen=True, slots=True)
class OverlayMessage(PublishedMessage):
    """A frame with the mask drawn, as JPEG bytes; topic `overlay`."""

    frame: FrameRef
    jpeg: bytes


@dataclass(frozen=True, slots=True)
class KeyframeMessage(PublishedMessage):
    """A notice that a frame was encoded, in `encode_ms`; topic `keyframe`."""

    frame: FrameRef
    encode_ms: FiniteFloat


@dataclass(frozen=True, slots=True)
class StreamHealth:
    """The health of one stream: frames, gaze, masks or keyframes.

    rate: Hz, over the last five seconds. usual: Hz, what is expected: the median rate of the last five minutes for
        frames and gaze, the rate of frames for masks; 0 where nothing is expected. age_ms: since the last message, -1
        before the first. is_alive: it is younger than ten of its periods. is_steady: the rate is 90 % of the usual one.
    """

    rate: FiniteFloat
    usual: FiniteFloat
    age_ms: FiniteFloat
    is_alive: bool
    is_steady: bool


@dataclass(frozen=True, slots=True)
class HealthMessage(PublishedMessage):
    """The health of the publisher, once a second and when `state` changes; topic `health`.

    rates: in Hz. latency_ms: percentiles by name.
    wall_ns: the host's wall clock minus its monotonic clock, which makes a `_ns` a time of day; 0 where it is unknown.
    doing, progress, remaining_s: while `preparing`, the present step, how much of it is complete, 0 to 1, and the
        seconds it will still take; None where that is unknown.
    access: who may connect, by output: loopback (this machine only), keys (allowed clients), open (everybody).
    streams: the table of streams, by name.
    hung: names of threads that have missed their deadlines.
    sessions: of a host of many, the state of each session by its stream.
    """

    state: Literal["starting", "preparing", "running", "idle", "degraded", "stopping"]
    reason: str
    rates: dict[str, float]
    latency_ms: dict[str, dict[str, float]]
    dropped: dict[str, int]
    memory_mib: FiniteFloat
    engine: dict[str, Any]
    wall_ns: int = 0
    doing: str = ""
    progress: FiniteFloat | None = None
    remaining_s: FiniteFloat | None = None
    access: dict[str, str] = field(default_factory=dict)
    streams: dict[str, StreamHealth] = field(default_factory=dict)
    hung: tuple[str, ...] = ()
    sessions: dict[str, str] = field(default_factory=dict)

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> HealthMessage:
        """Read a map; raises `WireError`."""
        return read_value({"reason": "", **fields}, cls, WireError)


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
        fields = unpack(payload)
        read_value(fields, Envelope, WireError)
        return MESSAGES[topic].from_fields(fields)
    except WireError as error:
        raise WireError(f"{topic}: {error}") from None
