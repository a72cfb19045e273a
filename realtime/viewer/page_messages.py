"""What the page and the server say to each other. Pure; reading costs bounded time and memory, whatever a page sends.

The page sends JSON maps with `t`, and camera frames as bytes. It gets JSON maps, and bytes for every frame with its
mask. Bytes are: the length of a JSON map (4 bytes, little-endian), the map, then what the map describes.

    page sends    want {kind}, ack {seq}, sync {n, ms}, source {on, label}, looks {looks, moved}, command {verb, on},
                  label {object, text, keep}, undo
                  bytes: {index, ms}, JPEG
    page gets     hello, can, health, sync {n}, clock {host_ms}, source {yours, taken, label}, got {index},
                  recording {on, file, s}, things {things}, labels {of, said, undo}, notice {text}, refused {reason}
                  bytes: {seq, frame, looks, target, outline}, outlines as x, y pairs of uint16, JPEG if frames are
                  wanted

The page of a recording sends ack, label, undo, and show {n} or show {ms}: a frame by its number or by the time since
the beginning. It gets hello, film {frames ...}, labels, notice, refused, and bytes as above with n, ms, until_ms.

`ms` is the page's own clock, `host_ms` what to add to it for the server's. A page's looks are [x, y, ms, confidence]
with x, y in 0..1 of the frame, origin top left; those it gets are [x, y, age in ms], px of the frame.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from realtime.errors import PageError
from realtime.pipeline.control import VERBS, UserCommand
from realtime.recording.labels import ObjectLabel
from realtime.viewer.contours import Points

Kind = Literal["frames", "masks"]
KINDS: tuple[Kind, ...] = get_args(Kind)
KNOWN = "want, ack, sync, source, looks, command, show, label or undo"
MOST_TEXT = 16 * 1024
MOST_BYTES = 4 * 2**20
"""A camera frame of 1920 x 1080 as JPEG is a tenth of this."""
MOST_LOOKS = 64
MOST_INDEX = 2**53
MOST_MS = 1e12
MOST_AWAY = 16.0
"""A finger dragged off the picture is outside 0..1, but not by so much."""


@dataclass(frozen=True, slots=True)
class ViewRequest:
    """Send this kind of picture from now on."""

    kind: Kind


@dataclass(frozen=True, slots=True)
class FrameAck:
    """The picture `seq` is on the screen; the next may come."""

    seq: int


@dataclass(frozen=True, slots=True)
class ClockSync:
    """The answer to question `n`: the page's clock showed `ms`."""

    n: int
    ms: float


@dataclass(frozen=True, slots=True)
class PageSourceChange:
    """The page's camera or clip is the source from now on, or no longer."""

    on: bool
    label: str


@dataclass(frozen=True, slots=True)
class PagePoint:
    """Where the mouse or finger was: x, y in 0..1 of the frame, the page's clock."""

    x: float
    y: float
    ms: float
    confidence: float


@dataclass(frozen=True, slots=True)
class PageGaze:
    """Looks in their order; `moved` when the hand has, and not only time."""

    looks: tuple[PagePoint, ...]
    moved: bool


@dataclass(frozen=True, slots=True)
class PageFrame:
    """A frame of the page's camera or clip."""

    index: int
    ms: float
    jpeg: bytes


@dataclass(frozen=True, slots=True)
class SeekRequest:
    """Show the frame `n` of a recording, or that of `ms` since its beginning; the other one is None."""

    n: int | None
    ms: float | None


@dataclass(frozen=True, slots=True)
class LabelChange:
    """Object `object` is this, from now on."""

    object: int
    label: ObjectLabel


@dataclass(frozen=True, slots=True)
class UndoRequest:
    """Take the last change of a label back."""


FromPage = (
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


def read_text(text: str) -> FromPage:
    """Read a JSON message; raises `PageError`."""
    if len(text) > MOST_TEXT:
        raise PageError(f"a message of {len(text)} characters; expected at most {MOST_TEXT}")
    fields = _map(text)
    match fields.get("t"):
        case "want":
            kind = fields.get("kind")
            if kind not in KINDS:
                raise PageError(f"kind {kind!r:.40}; expected {' or '.join(KINDS)}")
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
        case "looks":
            return _looks(fields)
        case "command":
            verb = fields.get("verb")
            if verb not in VERBS:
                raise PageError(f"verb {verb!r:.40}; expected one of {', '.join(VERBS)}")
            return UserCommand(verb, _flag(fields, "on"))
        case "show":
            return SeekRequest(_whole(fields, "n"), None) if "n" in fields else SeekRequest(None, _ms(fields.get("ms")))
        case "label":
            return LabelChange(_whole(fields, "object"), _label(fields))
        case "undo":
            return UndoRequest()
        case other:
            raise PageError(f"message {other!r:.40}; expected {KNOWN}")


def read_picture(data: bytes) -> PageFrame:
    """Read a camera frame; its JPEG is not looked into. Raises `PageError`."""
    length = int.from_bytes(data[:4], "little")
    if len(data) < 4 or not 2 <= length <= 256 or len(data) <= 4 + length:
        raise PageError(f"{len(data)} bytes that are no picture")
    try:
        head = _map(data[4 : 4 + length].decode())
    except UnicodeDecodeError:
        raise PageError("a picture's head is no text") from None
    return PageFrame(_whole(head, "index"), _ms(head.get("ms")), data[4 + length :])


def pack_text(kind: str, **fields: Any) -> str:
    """One JSON message to a page."""
    return json.dumps({"t": kind, **fields}, separators=(",", ":"), allow_nan=False)


def pack_picture(head: Mapping[str, Any], lines: Sequence[Points], jpeg: bytes) -> bytes:
    """One frame with its mask's outlines for a page; padded so that the outlines begin at an even byte."""
    text = json.dumps({**head, "outline": [len(line) for line in lines]}, separators=(",", ":"), allow_nan=False)
    data = text.encode()
    data += b" " * (-len(data) % 4)
    points = b"".join(line.astype("<u2").tobytes() for line in lines)
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


def _looks(fields: Mapping[str, Any]) -> PageGaze:
    values = fields.get("looks")
    if not isinstance(values, list) or len(values) > MOST_LOOKS:
        raise PageError(f"looks must be a list of at most {MOST_LOOKS}")
    found = []
    for value in values:
        if not isinstance(value, list) or len(value) != 4:
            raise PageError("a look must be [x, y, ms, confidence]")
        x, y, confidence = (_number(value[at]) for at in (0, 1, 3))
        if not (abs(x) <= MOST_AWAY and abs(y) <= MOST_AWAY and 0 <= confidence <= 1):
            raise PageError(f"a look at {x:.3g}, {y:.3g} with confidence {confidence:.3g}; expected 0..1 of the frame")
        found.append(PagePoint(x, y, _ms(value[2]), confidence))
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
    if not 0 <= number <= MOST_MS:
        raise PageError(f"a time of {number:.3g} ms")
    return number


def _whole(fields: Mapping[str, Any], key: str) -> int:
    value = fields.get(key)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MOST_INDEX:
        raise PageError(f"{key} must be a whole number of 0 to {MOST_INDEX}, got {value!r:.40}")
    return value


def _flag(fields: Mapping[str, Any], key: str) -> bool:
    value = fields.get(key, True)
    if not isinstance(value, bool):
        raise PageError(f"{key} must be true or false, got {value!r:.40}")
    return value
