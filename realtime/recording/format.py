"""What a recording holds, as values and as bytes. Pure.

Files may be broken, or made by others: whatever does not fit is a `RecordingError`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, get_args

import cv2
import msgpack
import numpy as np

from realtime.comms.envelope import unpack_msgpack
from realtime.errors import RecordingError, WireError
from realtime.pipeline.control import ALL_VERBS, UserCommand
from realtime.pipeline.publisher import MessageStamp
from realtime.pipeline.tracker_log import CallKind, EncodedKeyframe, TrackerCall
from realtime.sources.pupil_messages import read_jpeg_size
from realtime.tracking.dwell.mask_points import MaskPoints
from realtime.tracking.user_overrides import ExternalObjects
from realtime.types import Frame, FrameKey, GazeSample

FRAME, GAZE, TRACKER_CALL = "source/frame", "source/gaze", "loop/turn"
VERSION = 1
SAMPLE_FIELDS = (
    "x", "y", "unit", "confidence", "timestamp", "captured_ns", "received_ns", "radius_px", "px_per_degree",
)  # fmt: skip
"""The order of a look's fields."""
MAX_PIXELS = 1 << 26
PictureFormat = Literal["jpeg", "png"]


@dataclass(frozen=True, slots=True)
class RecordingInfo:
    """What a recording says of itself.

    config: as TOML. source: as it was named. started: wall clock, ISO 8601 with its zone.
    wall_ns: wall clock minus the host's monotonic clock when it began. from_start: whether it has the run from its
        first frame on. frame_time: whether a frame's own time was now, as for a clip that is played at any speed.
    encoding: of masks. stream: their name. engine: what `health` says of it; known once the engine is open.
    """

    config: str = ""
    source: str = ""
    started: str = ""
    wall_ns: int = 0
    from_start: bool = True
    frame_time: bool = False
    encoding: str = "packbits+zstd"
    stream: str = "gazecast"
    program: str = ""
    engine: Mapping[str, Any] = field(default_factory=dict)

    def to_fields(self) -> dict[str, str]:
        """As a file's metadata, which knows texts only."""
        return {"version": str(VERSION), **{name: json.dumps(value) for name, value in asdict(self).items()}}

    @classmethod
    def from_fields(cls, texts: Mapping[str, str]) -> RecordingInfo:
        """Read a file's metadata; raises `RecordingError`."""
        if texts.get("version") != str(VERSION):
            raise RecordingError(f"version {texts.get('version')!r:.20} of a recording; this program reads {VERSION}")
        try:
            found = {name: json.loads(texts[name]) for name in cls.__slots__ if name in texts}
        except (ValueError, RecursionError) as error:
            raise RecordingError(f"what the recording says of itself cannot be read: {error}") from None
        plain = cls()
        for name, value in found.items():
            wanted = dict if name == "engine" else type(getattr(plain, name))
            if type(value) is not wanted:
                raise RecordingError(f"the recording's {name} is {value!r:.40}; expected {wanted.__name__}")
        return cls(**found)


@dataclass(frozen=True, slots=True, eq=False)
class RecordedFrame:
    """A frame as it lies in the file, its picture still packed.

    exact: whether the picture has the very pixels that the run saw.
    """

    index: int
    timestamp: float
    captured_ns: int
    received_ns: int
    format: PictureFormat
    exact: bool
    data: bytes

    @property
    def key(self) -> FrameKey:
        """How turns name it."""
        return FrameKey(self.index, self.received_ns)

    def decode(self) -> Frame:
        """With its picture; raises `RecordingError`."""
        width, height = _picture_size(self.data)  # before anything of that size is made
        packed, image = np.frombuffer(self.data, np.uint8), None
        if 0 < width * height <= MAX_PIXELS:
            image = cv2.imdecode(packed, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
        if image is None:
            raise RecordingError(f"frame {self.index} of the recording has no picture that can be decoded")
        jpeg = self.data if self.format == "jpeg" else None
        times = self.timestamp, self.captured_ns, self.received_ns
        return Frame(np.asarray(image, np.uint8), self.index, *times, jpeg)


def _picture_size(data: bytes) -> tuple[int, int]:
    """(width, height) that a JPEG or PNG says it has; zeros where it is neither."""
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")
    return read_jpeg_size(data) or (0, 0)


def pack_frame(frame: Frame, lossy: bool, jpeg_quality: int) -> bytes:
    """A frame; the JPEG that it came from, or else one of ours, or a PNG, which changes no pixel."""
    if frame.jpeg is not None:
        kind, data = "jpeg", frame.jpeg
    else:
        kind = "jpeg" if lossy else "png"
        how = [cv2.IMWRITE_JPEG_QUALITY, jpeg_quality] if lossy else [cv2.IMWRITE_PNG_COMPRESSION, 1]
        ok, packed = cv2.imencode(f".{kind}", frame.image, how)
        if not ok:
            raise RecordingError(f"frame {frame.index} of {frame.image.shape} cannot be packed as {kind}")
        data = packed.tobytes()
    fields = {
        "index": frame.index, "timestamp": frame.timestamp, "captured_ns": frame.captured_ns,
        "received_ns": frame.received_ns, "format": kind, "exact": frame.jpeg is not None or not lossy, "data": data,
    }  # fmt: skip
    return _pack(fields)


def read_frame(data: bytes) -> RecordedFrame:
    """Read a frame; raises `RecordingError`."""
    fields = _unpack(data, dict)
    kind = fields.get("format")
    if kind not in get_args(PictureFormat) or not isinstance(fields.get("data"), bytes):
        raise RecordingError("a frame of the recording has no picture")
    return RecordedFrame(
        _int(fields.get("index")), _float(fields.get("timestamp")), _int(fields.get("captured_ns")),
        _int(fields.get("received_ns")), kind, fields.get("exact") is True, fields["data"],
    )  # fmt: skip


def pack_sample(sample: GazeSample) -> bytes:
    """A look."""
    return _pack(_sample(sample))


def read_sample(data: bytes) -> GazeSample:
    """Read a look; raises `RecordingError`."""
    return _read_sample(_unpack(data, list))


def pack_tracker_call(turn: TrackerCall) -> bytes:
    """A turn."""
    keyframe = turn.keyframe
    fields = {
        "call": turn.call,
        "frame": _key(turn.frame) if turn.frame else None,
        "samples": [_sample(sample) for sample in turn.samples],
        "keyframe": [*_key(keyframe.frame), keyframe.encode_ns, keyframe.encoded_ns] if keyframe else None,
        "commands": [_command(command) for command in turn.commands],
        "clock_ns": turn.clock_ns,
        "published": turn.published,
    }
    return _pack(fields)


def read_tracker_call(data: bytes) -> TrackerCall:
    """Read a turn; raises `RecordingError`."""
    fields = _unpack(data, dict)
    call = fields.get("call")
    if call not in get_args(CallKind):
        raise RecordingError(f"a turn of the recording is {call!r:.40}; known are {', '.join(get_args(CallKind))}")
    frame, keyframe, published = fields.get("frame"), fields.get("keyframe"), fields.get("published")
    if (call == "frame") != (frame is not None) or (call == "keyframe" and keyframe is None):
        raise RecordingError(f"a turn of the recording, {call}, is not complete")
    encoded = None
    if keyframe is not None:
        index, received_ns, encode_ns, encoded_ns = _ints(keyframe, 4)
        encoded = EncodedKeyframe(FrameKey(index, received_ns), encode_ns, encoded_ns)
    return TrackerCall(
        call,
        FrameKey(*_ints(frame, 2)) if frame is not None else None,
        tuple(map(_read_sample, _list(fields.get("samples")))),
        encoded,
        tuple(map(_read_command, _list(fields.get("commands")))),
        tuple(_ints(fields.get("clock_ns"))),
        MessageStamp(*_ints(published, 2)) if published is not None else None,
    )


def _key(key: FrameKey) -> list[int]:
    return [key.index, key.received_ns]


def _sample(sample: GazeSample) -> list[Any]:
    return [getattr(sample, name) for name in SAMPLE_FIELDS]


def _read_sample(values: Any) -> GazeSample:
    if not isinstance(values, list) or len(values) < len(SAMPLE_FIELDS) or values[2] not in ("norm", "px"):
        raise RecordingError(f"a look of the recording is {values!r:.60}; expected {', '.join(SAMPLE_FIELDS)}")
    x, y, unit, confidence, timestamp, captured_ns, received_ns, radius, scale = values[: len(SAMPLE_FIELDS)]
    return GazeSample(
        _float(x), _float(y), unit, _float(confidence), _float(timestamp), _int(captured_ns), _int(received_ns),
        None if radius is None else _float(radius), None if scale is None else _float(scale),
    )  # fmt: skip


def _command(command: UserCommand) -> dict[str, Any]:
    fields: dict[str, Any] = {"verb": command.verb, "on": command.on, "object": command.object, "known": None}
    if command.known is not None:
        traces = [
            None if t is None else [t.points_px.tobytes(), t.area_px, t.known_share] for t in command.known.mask_points
        ]
        fields["known"] = {"frame": _key(command.known.frame), "traces": traces}
    return fields


def _read_command(values: Any) -> UserCommand:
    if not isinstance(values, dict) or values.get("verb") not in ALL_VERBS:
        raise RecordingError(f"a command of the recording is {values!r:.60}; known are {', '.join(ALL_VERBS)}")
    thing, known = values.get("object"), values.get("known")
    if known is not None and not isinstance(known, dict):
        raise RecordingError(f"a command of the recording knows {known!r:.60}")
    return UserCommand(
        values["verb"], values.get("on") is True, None if thing is None else _int(thing),
        None if known is None else ExternalObjects(
            FrameKey(*_ints(known.get("frame"), 2)), tuple(map(_read_trace, _list(known.get("traces"))))
        ),
    )  # fmt: skip


def _read_trace(values: Any) -> MaskPoints | None:
    if values is None:
        return None
    points, area_px, kept = [*_list(values), None, None, None][:3]
    if not isinstance(points, bytes) or not points or len(points) % 16:
        raise RecordingError(f"a thing of the recording is {values!r:.60}")
    return MaskPoints(np.frombuffer(points, np.float64).reshape(-1, 2), _float(area_px), _float(kept))


def _pack(values: Any) -> bytes:
    return bytes(msgpack.packb(values, use_bin_type=True))


def _unpack(data: bytes, wanted: type) -> Any:
    try:
        found = unpack_msgpack(data)
    except WireError as error:
        raise RecordingError(f"a message of the recording is {error}") from None
    if not isinstance(found, wanted):
        raise RecordingError(f"a message of the recording is a {type(found).__name__}; expected {wanted.__name__}")
    return found


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise RecordingError(f"expected a list in the recording, got {value!r:.40}")
    return value


def _ints(values: Any, count: int | None = None) -> list[int]:
    found = [_int(value) for value in _list(values)]
    if count is not None and len(found) != count:
        raise RecordingError(f"expected {count} numbers in the recording, got {len(found)}")
    return found


def _int(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise RecordingError(f"expected a whole number in the recording, got {value!r:.40}")
    return value


def _float(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise RecordingError(f"expected a number in the recording, got {value!r:.40}")
    return float(value)
