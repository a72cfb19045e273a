"""Converts requests and their replies between bytes and values. Pure.

One part each way, a msgpack map. A request has `v` (1) and `ask`; the answer `v`, `ok`, and `error` (text) where it is
not ok. Pixels: x right, y down, the centre of the top-left pixel is (0, 0). Masks are encoded as on the wire.

    ask         with                                  answer
    ---------   -----------------------------------   ------------------------------------------------------------
    status                                            object, state, held, stream, keyframe, word
    hold        object (optional)                     object: it stays the result independently of the gaze
    release                                           object: the gaze selects the object again
    alternative step: 1 next (default), -1 previous   object: another mask that may be meant is its mask
    confirm     object (optional)                     object: the wearer means it; its masks are `confirmed`
    correct     points [[x, y]], labels, frame,       object: the shown mask is corrected by clicks on the object (1,
                object (optional but points)          default) or not (0), px of the frame of that index, or the newest;
                box in place of points                begun anew with the object in a box
    undo        all: false (default)                  object: the last of these is taken back, or all of them
    word        text, seconds (optional)              text, known, near: it is searched for beside the gaze; nil: none
    snapshot    format: png (default), jpeg           frame, data: the whole picture; mask: as in `mask`, or nil
    history     object, seconds (default 5)           masks: its last `mask` payloads, oldest first
    segment     box, or points [[x, y]] and labels    frame, keyframe, things: one
    everything  points_per_side, least_predicted_iou, frame, keyframe, things: all
                least_stability (all optional)
    sessions                                          sessions: [{stream, source, state, reason}], engine
    session.open  session: {stream, source, ...}      stream: it is published from now on
    session.close stream                              stream: nothing is published under this name any more

The last three are for a host of many sessions; with one, `stream` names the wearer in every other request.

`segment` and `everything` work on the newest keyframe, in whose pixels they answer: `frame` names it. Each of `things`
is {object, predicted_iou, stability, box, area, mask}; when the gaze comes to that object, the stream has the same id.
`object` is nil where it could not be carried to the newest frame.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from inspect import get_annotations
from typing import Annotated, Any, Literal

import msgpack
import msgspec
import numpy as np

from engines import Prompt, PromptError
from engines.automatic_masks import AutomaticMask, AutomaticSettings
from realtime.comms.envelope import VERSION, unpack_msgpack
from realtime.comms.keys import Permission
from realtime.comms.mask_encoding import encode_mask
from realtime.comms.session_requests import CloseSessionRequest, OpenSessionRequest, SessionsRequest, StreamName
from realtime.errors import WireError
from realtime.types import Click
from realtime.validation import read_value

MAX_REQUEST_BYTES = 64 * 1024
"""A request is small; a reply may hold a picture."""
MAX_POINTS = 64
MAX_HISTORY_S = 60.0
CLICKS_AT_ONCE = 4
"""Clicks of `everything` per decoder call: a run has this graph already, and eight would delay the tracker longer."""

_Number = Annotated[float, msgspec.Meta(gt=-1e6, lt=1e6, description="a number within 1e6")]
_Point = Annotated[tuple[_Number, ...], msgspec.Meta(min_length=2, max_length=2, description="2 numbers, [x, y]")]
_Box = Annotated[tuple[_Number, ...], msgspec.Meta(min_length=4, max_length=4, description="4 numbers")]
_Points = Annotated[
    tuple[_Point, ...],
    msgspec.Meta(min_length=1, max_length=MAX_POINTS, description=f"1 to {MAX_POINTS} points [x, y]"),
]
_Seconds = Annotated[
    float, msgspec.Meta(gt=0, le=MAX_HISTORY_S, description=f"a number above 0, at most {MAX_HISTORY_S:g}")
]
MAX_WORD_CHARS = 80
MAX_WORD_S = 86400.0
_Word = Annotated[
    str, msgspec.Meta(max_length=MAX_WORD_CHARS, description=f"a text of at most {MAX_WORD_CHARS} characters")
]
_Duration = Annotated[
    float, msgspec.Meta(gt=0, le=MAX_WORD_S, description=f"a number of seconds above 0, at most {MAX_WORD_S:g}")
]
_Side = Annotated[float, msgspec.Meta(ge=1, le=64, multiple_of=1, description="a whole number of 1 to 64")]
_Share = Annotated[float, msgspec.Meta(ge=0, le=1, description="a number of 0 to 1")]


class _SegmentFields(msgspec.Struct):
    box: _Box | None = None
    points: _Points | None = None
    labels: list[Literal[0, 1]] | None = None


class _CorrectFields(msgspec.Struct):
    points: _Points | None = None
    box: _Box | None = None
    labels: list[Literal[0, 1]] | None = None
    frame: int | None = None
    object: int | None = None


class _GridFields(msgspec.Struct):
    points_per_side: _Side | None = None
    least_predicted_iou: _Share | None = None
    least_stability: _Share | None = None


@dataclass(frozen=True, slots=True)
class StatusRequest:
    """Requests the state of the run."""


@dataclass(frozen=True, slots=True)
class HoldRequest:
    """Requests that the published object is held. object: only if it is this one."""

    object: int | None = None


@dataclass(frozen=True, slots=True)
class ReleaseRequest:
    """Requests that the gaze selects the object again."""


@dataclass(frozen=True, slots=True)
class AlternativeRequest:
    """Requests the next (1) or previous (-1) mask that may be meant, most probable first."""

    step: Literal[1, -1] = 1


@dataclass(frozen=True, slots=True)
class ConfirmRequest:
    """Requests that the published object is confirmed. object: only if it is this one."""

    object: int | None = None


@dataclass(frozen=True, slots=True)
class CorrectRequest:
    """Requests that the published object's mask is corrected by clicks, px of the frame of an index, or the newest.

    object: only if it is this one. box: x0, y0, x1, y1 in place of clicks.
    """

    clicks: tuple[Click, ...]
    frame: int | None = None
    object: int | None = None
    box: tuple[float, float, float, float] | None = None


@dataclass(frozen=True, slots=True)
class UndoCorrectionRequest:
    """Requests that the last correction of the published object is taken back, or all of them."""

    all: bool = False


@dataclass(frozen=True, slots=True)
class SetWordRequest:
    """Requests that a word is searched for beside the gaze; none where it is empty. seconds: for how long."""

    text: _Word | None = None
    seconds: _Duration | None = None


@dataclass(frozen=True, slots=True)
class SnapshotRequest:
    """Requests the newest frame and its mask."""

    format: Literal["png", "jpeg"] = "png"


@dataclass(frozen=True, slots=True)
class HistoryRequest:
    """Requests the masks of an object, of the last seconds."""

    object: int
    seconds: _Seconds = 5.0


@dataclass(frozen=True, slots=True, eq=False)
class SegmentRequest:
    """Requests the mask for a box or points, px of the newest keyframe."""

    prompt: Prompt


@dataclass(frozen=True, slots=True)
class EverythingRequest:
    """Requests the masks of all objects on the newest keyframe."""

    settings: AutomaticSettings


Request = (
    StatusRequest
    | HoldRequest
    | ReleaseRequest
    | AlternativeRequest
    | ConfirmRequest
    | CorrectRequest
    | UndoCorrectionRequest
    | SetWordRequest
    | SnapshotRequest
    | HistoryRequest
    | SegmentRequest
    | EverythingRequest
    | SessionsRequest
    | OpenSessionRequest
    | CloseSessionRequest
)

_FIELDS: dict[str, type] = {
    "status": StatusRequest, "hold": HoldRequest, "release": ReleaseRequest, "alternative": AlternativeRequest,
    "confirm": ConfirmRequest, "correct": _CorrectFields, "undo": UndoCorrectionRequest, "word": SetWordRequest,
    "snapshot": SnapshotRequest, "history": HistoryRequest, "segment": _SegmentFields, "everything": _GridFields,
    "sessions": SessionsRequest, "session.open": OpenSessionRequest, "session.close": CloseSessionRequest,
}  # fmt: skip
"""The fields of each request besides `v`, `ask` and `stream`."""


@dataclass(frozen=True, slots=True)
class AddressedRequest:
    """Holds a request and the stream that it is about; None where it names none."""

    request: Request
    stream: str | None


def required_permission(request: Request) -> Permission | None:
    """Return what a client must be allowed for a request; None for those that only read what is published, too."""
    match request:
        case StatusRequest() | HistoryRequest() | SessionsRequest():
            return None
        case SnapshotRequest():
            return "pictures"
        case _:
            return "control"


def read_request(payload: bytes) -> Request:
    """Read a request; raises `WireError` with the value and what was expected."""
    return _read_fields(_map(payload))


def read_addressed_request(payload: bytes) -> AddressedRequest:
    """Read a request and the stream that it is about: of a session that is to be opened, its own.

    Raises `WireError`.
    """
    fields = _map(payload)
    request = _read_fields(fields)
    named = request.session.get("stream") if isinstance(request, OpenSessionRequest) else fields.get("stream")
    stream = read_value(named, StreamName | None, WireError, "stream")  # type: ignore[arg-type]
    return AddressedRequest(request, stream)


def _read_fields(fields: dict[str, Any]) -> Request:
    ask = fields.get("ask")
    if not isinstance(ask, str) or ask not in _FIELDS:
        raise WireError(f"ask is {ask!r:.40}; known are {', '.join(_FIELDS)}")
    known = get_annotations(_FIELDS[ask])
    if unknown := fields.keys() - {"v", "ask", "stream", *known}:  # a mistyped name must not mean the default
        some = ", ".join(sorted(map(repr, unknown)))
        raise WireError(f"{ask} knows no {some:.60}; it knows {', '.join(known) or 'no fields'}")
    if ask == "segment":
        return SegmentRequest(_prompt(fields))
    if ask == "everything":
        return _everything(fields)
    if ask == "correct":
        return _correction(fields)
    request: Request = read_value(fields, _FIELDS[ask], WireError)
    return request


def pack_request(ask: str, **fields: Any) -> bytes:
    """Pack a request; numpy arrays and numbers are fine. Raises `WireError` for what msgpack cannot hold."""
    try:
        return bytes(msgpack.packb({"v": VERSION, "ask": ask, **fields}, use_bin_type=True, default=_plain))
    except (TypeError, ValueError, OverflowError) as error:
        raise WireError(f"{ask} cannot be asked so: {error}") from None


def pack_reply(**fields: Any) -> bytes:
    """Pack a successful reply."""
    return bytes(msgpack.packb({"v": VERSION, "ok": True, **fields}, use_bin_type=True))


def pack_refusal(error: str) -> bytes:
    """Pack a refusal with its reason."""
    return bytes(msgpack.packb({"v": VERSION, "ok": False, "error": error}, use_bin_type=True))


def read_reply(payload: bytes) -> dict[str, Any]:
    """Read the fields of a reply; raises `WireError` with the reason of a refusal."""
    fields = _map(payload)
    if fields.get("ok") is not True:
        raise WireError(str(fields.get("error", "an answer without ok")))
    return fields


def object_fields(found: AutomaticMask, object_id: int | None) -> dict[str, Any]:
    """Build the map of one object of a reply."""
    x, y, width, height = found.box_xywh
    return {
        "object": object_id, "predicted_iou": found.predicted_iou, "stability": found.stability_score,
        "box": [x, y, x + width, y + height], "area": found.area_px, "mask": encode_mask(found.mask),
    }  # fmt: skip


def _prompt(fields: Mapping[str, Any]) -> Prompt:
    if (fields.get("box") is None) == (fields.get("points") is None):
        raise WireError("segment needs either a box, [x0, y0, x1, y1], or points, [[x, y], ...]")
    read = read_value(fields, _SegmentFields, WireError)
    try:
        if read.box is not None:
            return Prompt.box(*_check_box(read.box, read.labels))
        points = read.points or ()
        labels = _labels(points, read.labels)
        if not any(labels):
            raise WireError("labels are all 0; an object needs a point that is on it")
        return Prompt(np.array(points, np.float32), np.array(labels, np.int8))
    except PromptError as error:
        raise WireError(str(error)) from None


def _labels(points: Sequence[Any], labels: list[Literal[0, 1]] | None) -> list[Literal[0, 1]]:
    if labels is None:
        return [1] * len(points)
    if len(labels) != len(points):
        raise WireError(f"labels are {labels!r:.60}; expected a 1 (on it) or 0 (not) for each of the points")
    return labels


def _correction(fields: Mapping[str, Any]) -> CorrectRequest:
    read = read_value(fields, _CorrectFields, WireError)
    if (read.box is None) == (read.points is None):
        raise WireError("correct needs either a box, [x0, y0, x1, y1], or points, [[x, y], ...]")
    if read.box is not None:
        return CorrectRequest((), read.frame, read.object, _check_box(read.box, read.labels))
    points = read.points or ()
    places = zip(points, _labels(points, read.labels), strict=True)
    return CorrectRequest(tuple((x, y, label) for (x, y), label in places), read.frame, read.object)


def _check_box(box: Sequence[float], labels: Sequence[int] | None) -> tuple[float, float, float, float]:
    x0, y0, x1, y1 = box
    if not (x0 < x1 and y0 < y1):
        raise WireError(f"box is {list(box)}; expected x0 < x1 and y0 < y1")
    if labels is not None:
        raise WireError("labels are for points; a box has none")
    return x0, y0, x1, y1


def _everything(fields: Mapping[str, Any]) -> EverythingRequest:
    read = read_value(fields, _GridFields, WireError)
    chosen = {name: value for name, value in msgspec.structs.asdict(read).items() if value is not None}
    if read.points_per_side is not None:
        chosen["points_per_side"] = int(read.points_per_side)
    try:
        return EverythingRequest(AutomaticSettings(**chosen, clicks_at_once=CLICKS_AT_ONCE))
    except ValueError as error:
        raise WireError(str(error)) from None


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    raise TypeError(f"{value!r:.40} is no number, text or list")


def _map(payload: bytes) -> dict[str, Any]:
    fields = unpack_msgpack(payload)
    if not isinstance(fields, dict) or fields.get("v") != VERSION:
        raise WireError(f"expected a msgpack map with v: {VERSION}, got {fields!r:.60}")
    return fields
