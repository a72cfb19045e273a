"""Converts the contents of a recording between values and bytes. Pure.

Files may be broken, or made by others: a value that does not fit raises `RecordingError`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from typing import Annotated, Any, Literal, TypeVar

import cv2
import msgpack
import msgspec
import numpy as np

from realtime.comms.envelope import pack, unpack_msgpack
from realtime.comms.mask_encoding import Encoding
from realtime.errors import RecordingError, WireError
from realtime.pipeline.control import CommandVerb, UserCommand
from realtime.pipeline.publisher import MessageStamp
from realtime.pipeline.tracker_log import CallKind, EncodedKeyframe, TrackerCall
from realtime.sources.pupil.messages import read_jpeg_size
from realtime.tracking.dwell.mask_points import MaskPoints
from realtime.tracking.external_objects import ExternalObjects
from realtime.types import Click, ConfirmationMeans, Frame, FrameKey, GazeSample
from realtime.validation import read_value

FRAME, GAZE, TRACKER_CALL = "source/frame", "source/gaze", "loop/turn"
VERSION = 1
SAMPLE_FIELDS = (
    "x", "y", "unit", "confidence", "timestamp", "captured_ns", "received_ns", "radius_px", "px_per_degree",
)  # fmt: skip
"""The order of a gaze sample's fields; behind them comes the event, if there is one."""
MAX_PIXELS = 1 << 26
GREY = 96
"""The pixels of frames that were recorded without their pictures."""
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class RecordingInfo:
    """Holds the metadata of a recording.

    config: as TOML. source: as it was named. started: wall clock, ISO 8601 with its zone.
    wall_ns: wall clock minus the host's monotonic clock when it began. from_start: whether it has the run from its
        first frame on. frame_time: whether a frame's own time was now, as for a clip that is played at any speed.
    encoding: of masks. stream: their name. pictures: whether frames have their pictures, else plain grey.
    engine: as in `health`; known once the engine is open.
    """

    config: str = ""
    source: str = ""
    started: str = ""
    wall_ns: int = 0
    from_start: bool = True
    frame_time: bool = False
    encoding: Encoding = "packbits+zstd"
    stream: str = "gazecast"
    program: str = ""
    pictures: bool = True
    engine: Mapping[str, Any] = field(default_factory=dict)

    def to_fields(self) -> dict[str, str]:
        """Return the metadata of a file, which holds texts only."""
        return {"version": str(VERSION), **{name: json.dumps(value) for name, value in asdict(self).items()}}

    @classmethod
    def from_fields(cls, texts: Mapping[str, str]) -> RecordingInfo:
        """Read a file's metadata; raises `RecordingError`."""
        if texts.get("version") != str(VERSION):
            raise RecordingError(f"version {texts.get('version')!r:.20} of a recording; this program reads {VERSION}")
        try:
            found = {name: json.loads(texts[name]) for name in cls.__slots__ if name in texts}
        except (ValueError, RecursionError) as error:
            raise RecordingError(f"the metadata of the recording cannot be read: {error}") from None
        return read_value(found, cls, RecordingError, "recording")


@dataclass(frozen=True, slots=True, eq=False)
class RecordedFrame:
    """A frame as stored in the file, its picture still encoded.

    exact: whether the picture has the very pixels that the run processed.
    """

    index: int
    timestamp: float
    captured_ns: int
    received_ns: int
    format: Literal["jpeg", "png"]
    exact: bool
    data: bytes

    @property
    def key(self) -> FrameKey:
        """The key of the frame in tracker calls."""
        return FrameKey(self.index, self.received_ns)

    def decode(self) -> Frame:
        """Decode the picture; raises `RecordingError`."""
        width, height = _read_picture_size(self.data)  # before a picture of that size is allocated
        encoded, image = np.frombuffer(self.data, np.uint8), None
        if 0 < width * height <= MAX_PIXELS:
            image = cv2.imdecode(encoded, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
        if image is None:
            raise RecordingError(f"frame {self.index} of the recording has no picture that can be decoded")
        jpeg = self.data if self.format == "jpeg" else None
        times = self.timestamp, self.captured_ns, self.received_ns
        return Frame(np.asarray(image, np.uint8), self.index, *times, jpeg)


def _read_picture_size(data: bytes) -> tuple[int, int]:
    """Read (width, height) from the header of a JPEG or PNG; zeros for other data."""
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")
    return read_jpeg_size(data) or (0, 0)


def pack_frame_without_picture(frame: Frame) -> bytes:
    """Pack a frame's times with a plain grey picture of its size, which every reader can show."""
    times = frame.timestamp, frame.captured_ns, frame.received_ns
    return pack(asdict(RecordedFrame(frame.index, *times, "png", False, _encode_grey(*frame.size))))


@lru_cache(maxsize=4)
def _encode_grey(width: int, height: int) -> bytes:
    return bytes(cv2.imencode(".png", np.full((height, width), GREY, np.uint8))[1])


def pack_frame(frame: Frame, lossy: bool, jpeg_quality: int) -> bytes:
    """Pack a frame with the JPEG that it came from, else with a new JPEG or a lossless PNG."""
    kind: Literal["jpeg", "png"] = "jpeg" if lossy or frame.jpeg is not None else "png"
    data = frame.jpeg
    if data is None:
        options = [cv2.IMWRITE_JPEG_QUALITY, jpeg_quality] if lossy else [cv2.IMWRITE_PNG_COMPRESSION, 1]
        ok, encoded = cv2.imencode(f".{kind}", frame.image, options)
        if not ok:
            raise RecordingError(f"frame {frame.index} of {frame.image.shape} cannot be encoded as {kind}")
        data = encoded.tobytes()
    exact = frame.jpeg is not None or not lossy
    times = frame.timestamp, frame.captured_ns, frame.received_ns
    return pack(asdict(RecordedFrame(frame.index, *times, kind, exact, data)))


def read_frame(data: bytes) -> RecordedFrame:
    """Read a frame; raises `RecordingError`."""
    return _read(data, RecordedFrame, "frame")


def pack_sample(sample: GazeSample) -> bytes:
    """Pack a gaze sample."""
    return bytes(msgpack.packb(_list_fields(sample)))


def read_sample(data: bytes) -> GazeSample:
    """Read a gaze sample; raises `RecordingError`."""
    return _to_sample(_read(data, list, "gaze sample"))


class _ExternalFields(msgspec.Struct):
    frame: tuple[int, int]
    traces: list[tuple[bytes, float, float] | None]


class _CommandFields(msgspec.Struct):
    verb: CommandVerb
    on: bool = False
    object: int | None = None
    known: _ExternalFields | None = None
    by: ConfirmationMeans = "key"
    seen_ns: int | None = None
    text: str = ""
    seconds: float | None = None
    clicks: tuple[Click, ...] = ()
    frame: int | None = None
    box: tuple[float, float, float, float] | None = None

    def to_command(self) -> UserCommand:
        known = None
        if self.known is not None:
            points = tuple(None if trace is None else _to_points(*trace) for trace in self.known.traces)
            known = ExternalObjects(FrameKey(*self.known.frame), points)
        return UserCommand(
            self.verb, self.on, self.object, known, self.by, self.seen_ns, self.text, self.seconds, self.clicks,
            self.frame, self.box,
        )  # fmt: skip


class _CallFields(msgspec.Struct, kw_only=True):
    """frame: index, received_ns. keyframe: those, encode_ns, encoded_ns; then its side, and 1 if it was searched."""

    call: CallKind
    frame: tuple[int, int] | None = None
    samples: list[list[Any]]
    keyframe: Annotated[tuple[int, ...], msgspec.Meta(min_length=4, max_length=6)] | None = None
    commands: list[_CommandFields]
    clock_ns: tuple[int, ...]
    published: MessageStamp | None = None
    failed_decode: Annotated[int, msgspec.Meta(ge=0)] | None = None


def pack_tracker_call(call: TrackerCall) -> bytes:
    """Pack a tracker call."""
    keyframe = call.keyframe
    fields: dict[str, Any] = {
        "call": call.call,
        "frame": _list_key(call.frame) if call.frame else None,
        "samples": [_list_fields(sample) for sample in call.samples],
        "keyframe": _list_keyframe(keyframe) if keyframe else None,
        "commands": [_command_fields(command) for command in call.commands],
        "clock_ns": call.clock_ns,
        "published": call.published,
    }
    if call.failed_decode is not None:
        fields["failed_decode"] = call.failed_decode
    return pack(fields)


def _list_keyframe(keyframe: EncodedKeyframe) -> list[int]:
    times = keyframe.encode_ns, keyframe.encoded_ns
    return [*_list_key(keyframe.frame), *times, keyframe.picture_side, int(keyframe.is_searched)]


def _to_keyframe(fields: tuple[int, ...]) -> EncodedKeyframe:
    index, received_ns, encode_ns, encoded_ns, *later = fields
    side, is_searched = [*later, 0, 0][:2]
    return EncodedKeyframe(FrameKey(index, received_ns), encode_ns, encoded_ns, side, bool(is_searched))


def read_tracker_call(data: bytes) -> TrackerCall:
    """Read a tracker call; raises `RecordingError`."""
    fields = _read(data, _CallFields, "tracker call")
    frame, keyframe = fields.frame, fields.keyframe
    if (fields.call == "frame") != (frame is not None) or (fields.call == "keyframe" and keyframe is None):
        raise RecordingError(f"the recording has an incomplete tracker call, {fields.call}")
    return TrackerCall(
        fields.call,
        FrameKey(*frame) if frame is not None else None,
        tuple(map(_to_sample, fields.samples)),
        _to_keyframe(keyframe) if keyframe is not None else None,
        tuple(command.to_command() for command in fields.commands),
        fields.clock_ns,
        fields.published,
        fields.failed_decode,
    )


def _list_key(key: FrameKey) -> list[int]:
    return [key.index, key.received_ns]


def _list_fields(sample: GazeSample) -> list[Any]:
    fields = [getattr(sample, name) for name in SAMPLE_FIELDS]
    return fields if sample.event is None else [*fields, asdict(sample.event)]


def _to_sample(values: list[Any]) -> GazeSample:
    fields = dict(zip((*SAMPLE_FIELDS, "event"), values, strict=False))
    return read_value(fields, GazeSample, RecordingError, "the recording's gaze sample")


def _to_points(points_px: bytes, area_px: float, known_share: float) -> MaskPoints:
    if not points_px or len(points_px) % 16:
        raise RecordingError(f"the recording has mask points of {len(points_px)} bytes; expected pairs of float64")
    return MaskPoints(np.frombuffer(points_px, np.float64).reshape(-1, 2), area_px, known_share)


def _command_fields(command: UserCommand) -> dict[str, Any]:
    fields: dict[str, Any] = {"verb": command.verb, "on": command.on, "object": command.object, "known": None}
    if command.verb == "confirm":
        fields |= {"by": command.by, "seen_ns": command.seen_ns}
    if command.verb == "word":
        fields |= {"text": command.text, "seconds": command.seconds}
    if command.verb == "correct":
        fields |= {"clicks": command.clicks, "frame": command.frame_index}
        fields |= {} if command.box is None else {"box": command.box}
    if command.known is not None:
        traces = [
            None if points is None else [points.points_px.tobytes(), points.area_px, points.known_share]
            for points in command.known.mask_points
        ]
        fields["known"] = {"frame": _list_key(command.known.frame), "traces": traces}
    return fields


def _read(data: bytes, kind: type[T], name: str) -> T:
    try:
        fields = unpack_msgpack(data)
    except WireError as error:
        raise RecordingError(f"the recording has a {name} that is {error}") from None
    return read_value(fields, kind, RecordingError, f"the recording's {name}")
