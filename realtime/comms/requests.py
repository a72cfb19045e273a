"""Requests and their answers: bytes <-> values. Pure.

One part each way, a msgpack map. A request has `v` (1) and `ask`; the answer `v`, `ok`, and `error` (text) where it is
not ok. Pixels: x right, y down, the centre of the top-left pixel is (0, 0). Masks are encoded as on the wire.

    ask         with                                  answer
    ---------   -----------------------------------   ------------------------------------------------------------
    status                                            object, state, held, stream, keyframe
    hold        object (optional)                     object: it stays on show whatever the eyes do
    release                                           object: the eyes choose again
    snapshot    format: png (default), jpeg           frame, data: the whole picture; mask: as in `mask`, or nil
    history     object, seconds (default 5)           masks: its last `mask` payloads, oldest first
    segment     box, or points [[x, y]] and labels    frame, keyframe, things: one
    everything  points_per_side, least_predicted_iou, frame, keyframe, things: all
                least_stability (all optional)

`segment` and `everything` work on the newest keyframe, whose pixels their answer is in: `frame` says which. Each of
`things` is {object, predicted_iou, stability, box, area, mask}; when the eyes come to it, the stream calls it by that
id. `object` is nil where the thing could not be carried to the newest frame.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import msgpack
import numpy as np

from engines import Prompt, PromptError
from engines.automatic_masks import AutomaticMask, AutomaticSettings
from realtime.comms import VERSION, encode_mask, unpack_msgpack
from realtime.errors import WireError

MAX_REQUEST_BYTES = 64 * 1024
"""A request is small; an answer may hold a picture."""
MAX_POINTS = 64
MAX_HISTORY_S = 60.0
CLICKS_AT_ONCE = 4
"""Clicks of `everything`, whose graph a run has made for its votes; eight would keep the tracker waiting longer."""
GRID_FIELDS = ("points_per_side", "least_predicted_iou", "least_stability")
REQUEST_FIELDS: Mapping[str, tuple[str, ...]] = {
    "status": (),
    "hold": ("object",),
    "release": (),
    "snapshot": ("format",),
    "history": ("object", "seconds"),
    "segment": ("box", "points", "labels"),
    "everything": GRID_FIELDS,
}
"""What may stand in each request besides `v` and `ask`: a name that is mistyped must not mean the default."""


@dataclass(frozen=True, slots=True)
class StatusRequest:
    """Ask how it is."""


@dataclass(frozen=True, slots=True)
class HoldRequest:
    """Keep what is on show; object: only if it is this one."""

    object: int | None = None


@dataclass(frozen=True, slots=True)
class ReleaseRequest:
    """Follow the eyes again."""


@dataclass(frozen=True, slots=True)
class SnapshotRequest:
    """The newest frame and its mask."""

    format: Literal["png", "jpeg"] = "png"


@dataclass(frozen=True, slots=True)
class HistoryRequest:
    """The masks of an object, of the last seconds."""

    object: int
    seconds: float = 5.0


@dataclass(frozen=True, slots=True, eq=False)
class SegmentRequest:
    """What is meant by a box or points, in pixels of the newest keyframe."""

    prompt: Prompt


@dataclass(frozen=True, slots=True)
class EverythingRequest:
    """All there is on the newest keyframe."""

    settings: AutomaticSettings


Request = (
    StatusRequest | HoldRequest | ReleaseRequest | SnapshotRequest | HistoryRequest | SegmentRequest | EverythingRequest
)


def read_request(payload: bytes) -> Request:
    """Read a request; raises `WireError` that says what came and what was expected."""
    fields = _map(payload)
    ask = fields.get("ask")
    if not isinstance(ask, str) or ask not in REQUEST_FIELDS:
        raise WireError(f"ask is {ask!r:.40}; known are {', '.join(REQUEST_FIELDS)}")
    if unknown := fields.keys() - {"v", "ask", *REQUEST_FIELDS[ask]}:
        some = f"{', '.join(sorted(map(repr, unknown)))}"
        raise WireError(f"{ask} knows no {some:.60}; it knows {', '.join(REQUEST_FIELDS[ask]) or 'no fields'}")
    match ask:
        case "status":
            return StatusRequest()
        case "release":
            return ReleaseRequest()
        case "hold":
            return HoldRequest(None if fields.get("object") is None else _whole(fields, "object"))
        case "snapshot":
            kind = fields.get("format", "png")
            if kind not in ("png", "jpeg"):
                raise WireError(f"format is {kind!r:.40}; expected png or jpeg")
            return SnapshotRequest(kind)
        case "history":
            return HistoryRequest(_whole(fields, "object"), _number(fields, "seconds", 5.0, 0.0, MAX_HISTORY_S))
        case "segment":
            return SegmentRequest(_prompt(fields))
        case _:
            return _everything(fields)


def pack_request(ask: str, **fields: Any) -> bytes:
    """A request; arrays and numbers of numpy are fine. Raises `WireError` for what msgpack cannot say."""
    try:
        return bytes(msgpack.packb({"v": VERSION, "ask": ask, **fields}, use_bin_type=True, default=_plain))
    except (TypeError, ValueError, OverflowError) as error:
        raise WireError(f"{ask} cannot be asked so: {error}") from None


def pack_reply(**fields: Any) -> bytes:
    """An answer that is ok."""
    return bytes(msgpack.packb({"v": VERSION, "ok": True, **fields}, use_bin_type=True))


def pack_refusal(error: str) -> bytes:
    """An answer that is not."""
    return bytes(msgpack.packb({"v": VERSION, "ok": False, "error": error}, use_bin_type=True))


def read_reply(payload: bytes) -> dict[str, Any]:
    """The fields of an answer; raises `WireError` with what the other side says is wrong."""
    fields = _map(payload)
    if fields.get("ok") is not True:
        raise WireError(str(fields.get("error", "an answer without ok")))
    return fields


def object_fields(found: AutomaticMask, thing: int | None) -> dict[str, Any]:
    """One thing of an answer."""
    x, y, width, height = found.box_xywh
    return {
        "object": thing, "predicted_iou": found.predicted_iou, "stability": found.stability_score,
        "box": [x, y, x + width, y + height], "area": found.area_px, "mask": encode_mask(found.mask),
    }  # fmt: skip


def _prompt(fields: Mapping[str, Any]) -> Prompt:
    box, points = fields.get("box"), fields.get("points")
    if (box is None) == (points is None):
        raise WireError("segment needs either a box, [x0, y0, x1, y1], or points, [[x, y], ...]")
    try:
        if box is not None:
            x0, y0, x1, y1 = _numbers(box, "box", 4)
            if not (x0 < x1 and y0 < y1):
                raise WireError(f"box is {[x0, y0, x1, y1]}; expected x0 < x1 and y0 < y1")
            if fields.get("labels") is not None:
                raise WireError("labels are for points; a box has none")
            return Prompt.box(x0, y0, x1, y1)
        if not isinstance(points, list) or not 1 <= len(points) <= MAX_POINTS:
            raise WireError(f"points are {points!r:.60}; expected 1 to {MAX_POINTS} of [x, y]")
        labels = [1] * len(points) if fields.get("labels") is None else fields["labels"]
        if not isinstance(labels, list) or len(labels) != len(points) or any(label not in (0, 1) for label in labels):
            raise WireError(f"labels are {labels!r:.60}; expected a 1 (on it) or 0 (not) for each of the points")
        if not any(labels):
            raise WireError("labels are all 0; a thing needs a point that is on it")
        places = np.array([_numbers(point, "points", 2) for point in points], np.float32)
        return Prompt(places, np.array(labels, np.int8))
    except PromptError as error:
        raise WireError(str(error)) from None


def _everything(fields: Mapping[str, Any]) -> EverythingRequest:
    chosen = {name: fields[name] for name in GRID_FIELDS if fields.get(name) is not None}
    for name, value in chosen.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or (name == GRID_FIELDS[0] and value % 1 != 0):
            raise WireError(f"{name} is {value!r:.40}; expected a {'whole ' if name == GRID_FIELDS[0] else ''}number")
    try:
        if GRID_FIELDS[0] in chosen:
            chosen[GRID_FIELDS[0]] = int(chosen[GRID_FIELDS[0]])
            if chosen[GRID_FIELDS[0]] > 64:
                raise ValueError(f"points_per_side must be 1 to 64, got {chosen[GRID_FIELDS[0]]}")
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


def _whole(fields: Mapping[str, Any], name: str) -> int:
    value = fields.get(name)
    if isinstance(value, bool) or not isinstance(value, int):
        raise WireError(f"{name} is {value!r:.40}; expected a whole number")
    return value


def _number(fields: Mapping[str, Any], name: str, default: float, low: float, high: float) -> float:
    value = fields.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not low < value <= high:
        raise WireError(f"{name} is {value!r:.40}; expected a number above {low:g}, at most {high:g}")
    return float(value)


def _numbers(values: Any, name: str, count: int) -> Sequence[float]:
    fine = isinstance(values, list) and len(values) == count
    if not fine or any(isinstance(v, bool) or not isinstance(v, int | float) or not abs(v) < 1e6 for v in values):
        raise WireError(f"{name} has {values!r:.60}; expected {count} numbers")
    return [float(value) for value in values]
