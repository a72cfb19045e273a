"""Defines the messages between page and server. Pure.

Reading costs bounded time and memory, whatever a page sends.

The page sends JSON maps with `t`, and camera frames as bytes. It receives JSON maps, and bytes for every frame with its
mask. Bytes are: the length of a JSON map (4 bytes, little-endian), the map, then the data that the map describes.

    page sends     view {kind}, ack {seq}, sync {n, ms}, source {on, label}, gaze {samples, moved},
                   command {verb, on, object}, label {object, text, keep}, undo, word {text}
                   eyes {on}, calibration {on}, screen {size, page, picture, frame_width}, click {x, y}
                   bytes: {index, ms, eyes}, JPEG
    page receives  hello, verbs {verbs}, health, sync {n}, clock {host_ms}, source {yours, active, label},
                   received {index}, recording {on, file, s, commands}, objects {objects},
                   labels {recording, labels, undo}, notice {text}, refused {reason}
                   word {text, known, found, near, error}
                   eyes {index, face, closed, calibrating, target, result, note}
                   bytes: {seq, frame, gaze_trail, target, outline}, contours as x, y pairs of uint16, JPEG if frames
                   were requested

The page of a recording sends ack, label, undo, redo, prepare {n}, correct {kind, n, object, on, places, radius, step,
seconds}, and seek {n, object} or seek {ms, object}: a frame by its number or by the time since the beginning, with the
mask of an object where it has several. It receives hello, timeline {frames ...}, labels, edits {undo, redo, version},
corrected {n, object, action}, progress {text}, notice, refused, and bytes as above with n, ms, until_ms, own_mask,
corrected, or with error.

`ms` is the page's own clock, `host_ms` its offset to the server's. A page's gaze samples are [x, y, ms, confidence]
with x, y in 0..1 of the frame, origin top left; those of `gaze_trail` are [x, y, age in ms], px of the frame. `outline`
has the number of points of each contour. `objects` are [object, seconds shown, version of its thumbnail]; `commands`
are those of a shell that review and export the last recording. `eyes` is about gaze by webcam: a frame with `eyes`
shows those of the person, `screen` has rectangles [x, y, width, height] in CSS px of the screen.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import msgspec

from realtime.correction.frame_corrector import CandidateStep
from realtime.errors import PageError
from realtime.pipeline.control import USER_VERBS, UserCommand
from realtime.pipeline.words import MAX_WORD_CHARS
from realtime.recording.labels import ObjectLabel
from realtime.validation import read_value
from realtime.viewer.contours import Contour

MAX_TEXT_CHARS = 16 * 1024
MAX_MESSAGE_BYTES = 4 * 2**20
"""A camera frame of 1920 x 1080 as JPEG is a tenth of this."""
MAX_GAZE_SAMPLES = 64
MAX_STROKE_PLACES = 400
MAX_INDEX = 2**53
MAX_MS = 1e12
MAX_GAZE_OFFSET = 16.0
"""Largest |x| or |y|: a finger dragged off the picture is outside 0..1, but not by more."""


Index = Annotated[int, msgspec.Meta(ge=0, le=MAX_INDEX, description=f"a whole number of 0 to {MAX_INDEX}")]
PageTime = Annotated[float, msgspec.Meta(ge=0, le=MAX_MS, description=f"a time of 0 to {MAX_MS:g} ms")]
_Place = Annotated[float, msgspec.Meta(ge=-MAX_GAZE_OFFSET, le=MAX_GAZE_OFFSET, description="0 to 1 of the frame")]
_Confidence = Annotated[float, msgspec.Meta(ge=0, le=1, description="a confidence of 0 to 1")]


@dataclass(frozen=True, slots=True)
class ViewRequest:
    """Requests frames of this kind from now on."""

    kind: Literal["frames", "masks"]


@dataclass(frozen=True, slots=True)
class FrameAck:
    """Acknowledges that frame `seq` is on the screen; the next may follow."""

    seq: Index


@dataclass(frozen=True, slots=True)
class ClockSync:
    """Answers clock request `n` with the page's time `ms`."""

    n: Index
    ms: PageTime


@dataclass(frozen=True, slots=True)
class PageSourceChange:
    """Makes the page's camera or clip the source from now on, or ends it."""

    on: bool = True
    label: str = ""


class PointerSample(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A position of the mouse or finger: x, y in 0..1 of the frame, ms of the page's clock."""

    x: _Place
    y: _Place
    ms: PageTime
    confidence: _Confidence


@dataclass(frozen=True, slots=True)
class PageGaze:
    """Holds gaze samples in order. moved: whether the pointer moved; while it rests its position is repeated."""

    samples: Annotated[
        tuple[PointerSample, ...],
        msgspec.Meta(max_length=MAX_GAZE_SAMPLES, description=f"a list of at most {MAX_GAZE_SAMPLES} samples"),
    ]
    moved: bool = True


@dataclass(frozen=True, slots=True)
class PageFrame:
    """Holds a JPEG frame of the page's camera or clip; ms of the page's clock. eyes: it shows those of the person."""

    index: Index
    ms: PageTime
    jpeg: bytes
    eyes: bool = False


_Offset = Annotated[float, msgspec.Meta(ge=-100_000, le=100_000, description="a place within 100000 px")]
_Side = Annotated[float, msgspec.Meta(ge=1, le=100_000, description="a length of 1 to 100000 px")]
_Count = Annotated[int, msgspec.Meta(ge=1, le=100_000, description="a whole number of 1 to 100000")]
_Rectangle = tuple[_Offset, _Offset, _Side, _Side]


@dataclass(frozen=True, slots=True)
class ScreenChange:
    """Reports where the page is on its screen, see `ScreenLayout`."""

    size: tuple[_Count, _Count]
    page: _Rectangle
    picture: _Rectangle | None = None
    frame_width: Annotated[int, msgspec.Meta(ge=0, le=100_000, description="a whole number of 0 to 100000")] = 0


@dataclass(frozen=True, slots=True)
class ScreenClick:
    """Reports a click of the person whose eyes are tracked, CSS px of the screen."""

    x: _Offset
    y: _Offset


@dataclass(frozen=True, slots=True)
class EyeCameraChange:
    """Makes the page's camera the one that films the eyes, or ends it."""

    on: bool = True


@dataclass(frozen=True, slots=True)
class CalibrationChange:
    """Begins a calibration of the eyes, or cancels it."""

    on: bool = True


@dataclass(frozen=True, slots=True)
class SeekRequest:
    """Requests frame `n` of a recording, or that of `ms` since its beginning; the other one is None."""

    n: Index | None = None
    ms: PageTime | None = None
    object: Index = 0


@dataclass(frozen=True, slots=True)
class PrepareRequest:
    """Announces that frame `n` may be corrected soon."""

    n: Index


_Share = Annotated[float, msgspec.Meta(ge=0, le=1, description="0 to 1 of the frame")]
_Places = Annotated[
    tuple[tuple[_Share, _Share], ...],
    msgspec.Meta(max_length=MAX_STROKE_PLACES, description=f"a list of at most {MAX_STROKE_PLACES} places"),
]
_PLACES = {"click": 1, "box": 2, "brush": 1}
"""Kind of correction -> least number of places that it needs."""


@dataclass(frozen=True, slots=True)
class CorrectionRequest:
    """Corrects the mask of an object, 0 for a new one, in frame `n` of a recording.

    on: add to the object, else take from it. radius: of a brush, share of the width. seconds: spent since the last one.
    """

    kind: Literal["click", "box", "step", "brush", "accept"]
    n: Index
    object: Index = 0
    on: bool = True
    places: _Places = ()
    radius: Annotated[float, msgspec.Meta(ge=0, le=0.5, description="0 to 0.5 of the frame")] = 0.01
    step: CandidateStep = "next"
    seconds: Annotated[float, msgspec.Meta(ge=0, le=1e6, description="a time of 0 to 1000000 s")] = 0.0


@dataclass(frozen=True, slots=True)
class LabelChange:
    """Labels an object of a recording."""

    object: int
    label: ObjectLabel


@dataclass(frozen=True, slots=True)
class UndoRequest:
    """Undoes the last change of a label or mask."""


@dataclass(frozen=True, slots=True)
class RedoRequest:
    """Redoes the change that was undone last."""


@dataclass(frozen=True, slots=True)
class WordChange:
    """Sets the word that is searched for beside the gaze; "" for none."""

    text: Annotated[str, msgspec.Meta(max_length=MAX_WORD_CHARS, description=f"at most {MAX_WORD_CHARS} characters")]


class _CommandFields(msgspec.Struct):
    verb: Any = None
    on: bool = True
    object: Index | None = None


class _LabelFields(msgspec.Struct):
    object: Index
    text: str = ""
    keep: bool = True


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
    | RedoRequest
    | PrepareRequest
    | CorrectionRequest
    | ScreenChange
    | ScreenClick
    | EyeCameraChange
    | CalibrationChange
    | WordChange
)


_MESSAGES = {
    "view": ViewRequest, "ack": FrameAck, "sync": ClockSync, "source": PageSourceChange, "gaze": PageGaze,
    "command": _CommandFields, "seek": SeekRequest, "label": _LabelFields, "undo": UndoRequest,
    "redo": RedoRequest, "prepare": PrepareRequest, "correct": CorrectionRequest,
    "screen": ScreenChange, "eyes": EyeCameraChange, "calibration": CalibrationChange,
    "click": ScreenClick, "word": WordChange,
}  # fmt: skip


def read_text(text: str) -> PageMessage:
    """Read a JSON message of a page; raises `PageError`."""
    if len(text) > MAX_TEXT_CHARS:
        raise PageError(f"a message of {len(text)} characters; expected at most {MAX_TEXT_CHARS}")
    fields = _map(text)
    kind = fields.get("t")
    if not isinstance(kind, str) or kind not in _MESSAGES:
        raise PageError(f"message {kind!r:.40}; expected one of {', '.join(_MESSAGES)}")
    match read_value(fields, _MESSAGES[kind], PageError):
        case PageSourceChange(on, label):
            return PageSourceChange(on, "".join(c for c in label[:60] if c.isprintable()))
        case _CommandFields(verb, on, object_id):
            if verb not in USER_VERBS:
                raise PageError(f"verb {verb!r:.40}; expected one of {', '.join(USER_VERBS)}")
            return UserCommand(verb, on, object_id)
        case SeekRequest(None, None):
            raise PageError("seek needs n, a frame's number, or ms, its time")
        case SeekRequest(int(number), _, shown):
            return SeekRequest(number, object=shown)
        case CorrectionRequest() as correction:
            if len(correction.places) < _PLACES.get(correction.kind, 0):
                raise PageError(f"{correction.kind} needs more places, got {len(correction.places)}")
            return correction
        case _LabelFields(object_id, text, keep):
            try:
                return LabelChange(object_id, ObjectLabel(" ".join(text.split()), keep))
            except ValueError as error:
                raise PageError(str(error)) from None
        case message:
            return message


def read_page_frame(data: bytes) -> PageFrame:
    """Read a camera frame of a page without decoding its JPEG; raises `PageError`."""
    length = int.from_bytes(data[:4], "little")
    if len(data) < 4 or not 2 <= length <= 256 or len(data) <= 4 + length:
        raise PageError(f"{len(data)} bytes that are no frame")
    return read_value({**_map(data[4 : 4 + length]), "jpeg": data[4 + length :]}, PageFrame, PageError)


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


def _map(text: str | bytes) -> dict[str, Any]:
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except msgspec.ValidationError:
        raise PageError("a message that is no map") from None
    except (ValueError, RecursionError):
        raise PageError("a message that is no JSON") from None
