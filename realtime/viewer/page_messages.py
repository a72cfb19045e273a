"""Defines the messages between page and server. Pure.

Reading costs bounded time and memory, whatever a page sends.

The page sends JSON maps with `t`, and camera frames as bytes. It receives JSON maps, and bytes for every frame with its
mask. Bytes are: the length of a JSON map (4 bytes, little-endian), the map, then the data that the map describes.

    page sends     view {kind}, ack {seq}, sync {n, ms}, source {on, label}, gaze {samples, moved}, command {verb, on},
                   label {object, text, keep}, undo
                   bytes: {index, ms}, JPEG
    page receives  hello, verbs {verbs}, health, sync {n}, clock {host_ms}, source {yours, active, label},
                   received {index}, recording {on, file, s}, objects {objects}, labels {recording, labels, undo},
                   notice {text}, refused {reason}
                   bytes: {seq, frame, gaze_trail, target, outline}, contours as x, y pairs of uint16, JPEG if frames
                   were requested

The page of a recording sends ack, label, undo, and seek {n} or seek {ms}: a frame by its number or by the time since
the beginning. It receives hello, timeline {frames ...}, labels, notice, refused, and bytes as above with n, ms,
until_ms, own_mask, or with error.

`ms` is the page's own clock, `host_ms` its offset to the server's. A page's gaze samples are [x, y, ms, confidence]
with x, y in 0..1 of the frame, origin top left; those of `gaze_trail` are [x, y, age in ms], px of the frame. `outline`
has the number of points of each contour. `objects` are [object, seconds shown].
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from realtime.errors import PageError
from realtime.pipeline.control import USER_VERBS, UserCommand
from realtime.recording.labels import ObjectLabel
from realtime.viewer.contours import Contour

ViewKind = Literal["frames", "masks"]
VIEW_KINDS: tuple[ViewKind, ...] = get_args(ViewKind)
KNOWN_MESSAGES = "view, ack, sync, source, gaze, command, seek, label or undo"
MAX_TEXT_CHARS = 16 * 1024
MAX_MESSAGE_BYTES = 4 * 2**20
"""A camera frame of 1920 x 1080 as JPEG is a tenth of this."""
MAX_GAZE_SAMPLES = 64
MAX_INDEX = 2**53
MAX_MS = 1e12
MAX_GAZE_OFFSET = 16.0
"""Largest |x| or |y|: a finger dragged off the picture is outside 0..1, but not by more."""


@dataclass(frozen=True, slots=True)
class ViewRequest:
    """Requests frames of this kind from now on."""

    kind: ViewKind


@dataclass(frozen=True, slots=True)
class FrameAck:
    """Acknowledges that frame `seq` is on the screen; the next may follow."""

    seq: int


@dataclass(frozen=True, slots=True)
class ClockSync:
    """Answers clock request `n` with the page's time `ms`."""

    n: int
    ms: float


@dataclass(frozen=True, slots=True)
class PageSourceChange:
    """Makes the page's camera or clip the source from now on, or ends it."""

    on: bool
    label: str


@dataclass(frozen=True, slots=True)
class PointerSample:
    """A position of the mouse or finger: x, y in 0..1 of the frame, ms of the page's clock."""

    x: float
    y: float
    ms: float
    confidence: float


@dataclass(frozen=True, slots=True)
class PageGaze:
    """Holds gaze samples in order. moved: whether the pointer moved; while it rests its position is repeated."""

    samples: tuple[PointerSample, ...]
    moved: bool


@dataclass(frozen=True, slots=True)
class PageFrame:
    """Holds a JPEG frame of the page's camera or clip; ms of the page's clock."""

    index: int
    ms: float
    jpeg: bytes


@dataclass(frozen=True, slots=True)
class SeekRequest:
    """Requests frame `n` of a recording, or that of `ms` since its beginning; the other one is None."""

    n: int | None
    ms: float | None


@dataclass(frozen=True, slots=True)
class LabelChange:
    """Labels an object of a recording."""

    object: int
    label: ObjectLabel


@dataclass(frozen=True, slots=True)
class UndoRequest:
    """Undoes the last change of a label."""


PageMessage = (
    ViewRequest
    | FrameAck
    | ClockSync
    | PageSourceChange
    | PageGaze
    | UserCommand
    | SeekRequest
    | LabelChange
    | UndoRequest
)


def read_text(text: str) -> PageMessage:
    """Read a JSON message of a page; raises `PageError`."""
    if len(text) > MAX_TEXT_CHARS:
        raise PageError(f"a message of {len(text)} characters; expected at most {MAX_TEXT_CHARS}")
    fields = _map(text)
    match fields.get("t"):
        case "view":
            kind = fields.get("kind")
            if kind not in VIEW_KINDS:
                raise PageError(f"kind {kind!r:.40}; expected {' or '.join(VIEW_KINDS)}")
            return ViewRequest(kind)
        case "ack":
            return FrameAck(_whole(fields, "seq"))
        case "sync":
            return ClockSync(_whole(fields, "n"), _ms(fields.get("ms")))
        case "source":
            label = fields.get("label", "")
            if not isinstance(label, str):
                raise PageError("label is no text")
            return PageSourceChange(_flag(fields, "on"), "".join(c for c in label[:60] if c.isprintable()))
        case "gaze":
            return _gaze(fields)
        case "command":
            verb = fields.get("verb")
            if verb not in USER_VERBS:
                raise PageError(f"verb {verb!r:.40}; expected one of {', '.join(USER_VERBS)}")
            return UserCommand(verb, _flag(fields, "on"))
        case "seek":
            return SeekRequest(_whole(fields, "n"), None) if "n" in fields else SeekRequest(None, _ms(fields.get("ms")))
        case "label":
            return LabelChange(_whole(fields, "object"), _label(fields))
        case "undo":
            return UndoRequest()
        case other:
            raise PageError(f"message {other!r:.40}; expected {KNOWN_MESSAGES}")


def read_page_frame(data: bytes) -> PageFrame:
    """Read a camera frame of a page without decoding its JPEG; raises `PageError`."""
    length = int.from_bytes(data[:4], "little")
    if len(data) < 4 or not 2 <= length <= 256 or len(data) <= 4 + length:
        raise PageError(f"{len(data)} bytes that are no frame")
    try:
        header = _map(data[4 : 4 + length].decode())
    except UnicodeDecodeError:
        raise PageError("a frame's header is no text") from None
    return PageFrame(_whole(header, "index"), _ms(header.get("ms")), data[4 + length :])


def pack_text(kind: str, **fields: Any) -> str:
    """Pack a JSON message to a page."""
    return json.dumps({"t": kind, **fields}, separators=(",", ":"), allow_nan=False)


def pack_view_frame(header: Mapping[str, Any], contours: Sequence[Contour], jpeg: bytes) -> bytes:
    """Pack a frame with its mask's contours for a page; padded so that the contours begin at an even byte."""
    header = {**header, "outline": [len(contour) for contour in contours]}
    data = json.dumps(header, separators=(",", ":"), allow_nan=False).encode()
    data += b" " * (-len(data) % 4)
    points = b"".join(contour.astype("<u2").tobytes() for contour in contours)
    return len(data).to_bytes(4, "little") + data + points + jpeg


def _map(text: str) -> dict[str, Any]:
    try:
        fields = json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise PageError("a message that is no JSON") from None
    if not isinstance(fields, dict):
        raise PageError("a message that is no map")
    return fields


def _no_constant(name: str) -> float:
    raise ValueError(name)


def _gaze(fields: Mapping[str, Any]) -> PageGaze:
    values = fields.get("samples")
    if not isinstance(values, list) or len(values) > MAX_GAZE_SAMPLES:
        raise PageError(f"samples must be a list of at most {MAX_GAZE_SAMPLES}")
    found = []
    for value in values:
        if not isinstance(value, list) or len(value) != 4:
            raise PageError("a gaze sample must be [x, y, ms, confidence]")
        x, y, confidence = (_number(value[at]) for at in (0, 1, 3))
        if not (abs(x) <= MAX_GAZE_OFFSET and abs(y) <= MAX_GAZE_OFFSET and 0 <= confidence <= 1):
            raise PageError(f"gaze at {x:.3g}, {y:.3g} with confidence {confidence:.3g}; expected 0..1 of the frame")
        found.append(PointerSample(x, y, _ms(value[2]), confidence))
    return PageGaze(tuple(found), _flag(fields, "moved"))


def _label(fields: Mapping[str, Any]) -> ObjectLabel:
    text = fields.get("text", "")
    if not isinstance(text, str):
        raise PageError("a label's text is no text")
    try:
        return ObjectLabel(" ".join(text.split()), _flag(fields, "keep"))
    except ValueError as error:
        raise PageError(str(error)) from None


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise PageError(f"{value!r:.40} is no number")
    try:
        number = float(value)
    except OverflowError:
        raise PageError("a number too large") from None
    if not math.isfinite(number):
        raise PageError("a number that is not finite")
    return number


def _ms(value: object) -> float:
    number = _number(value)
    if not 0 <= number <= MAX_MS:
        raise PageError(f"a time of {number:.3g} ms")
    return number


def _whole(fields: Mapping[str, Any], key: str) -> int:
    value = fields.get(key)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_INDEX:
        raise PageError(f"{key} must be a whole number of 0 to {MAX_INDEX}, got {value!r:.40}")
    return value


def _flag(fields: Mapping[str, Any], key: str) -> bool:
    value = fields.get(key, True)
    if not isinstance(value, bool):
        raise PageError(f"{key} must be true or false, got {value!r:.40}")
    return value
