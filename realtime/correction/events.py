"""Defines the events of a correction file: what a person, or another program, said about a recording's masks. Pure.

`NAME.corrections.jsonl` has one JSON object a line, oldest first, and is only appended to, see
docs/reference/corrections.md. Places are pixels of the recorded frame: x right, y down, the centre of the first is
(0, 0). Masks are the `counts` of COCO's compressed run lengths, of the size that the event names.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from realtime.comms.mask_encoding import decode_mask, encode_mask
from realtime.errors import RecordingError, WireError
from realtime.types import Click, FrameKey, Mask

VERSION = 1
CorrectionMeans = Literal["clicks", "candidate", "brush", "import"]
"""How a mask was corrected: by points and a box, by choosing another candidate, by painting, in another program."""


class _Event(msgspec.Struct, frozen=True, kw_only=True, tag_field="event", omit_defaults=True):
    """n: its number in the file, from 1. at: wall clock, ISO 8601, UTC."""

    n: int = 0
    at: str = ""


class BeginEvent(_Event, frozen=True, kw_only=True, tag="begin"):
    """Begins a file. program: that wrote it, with its version."""

    version: int
    recording: str = ""
    program: str = ""


class LabelEvent(_Event, frozen=True, kw_only=True, tag="label"):
    """Names, keeps or drops an object. before: its name, and whether it was kept."""

    object: int
    text: str
    keep: bool
    before: tuple[str, bool] = ("", True)


class MaskCandidate(msgspec.Struct, frozen=True):
    """Holds a mask that the decoder offered. iou, stability: predicted, 0..1."""

    mask: str
    iou: float
    stability: float


class CorrectionEvent(_Event, frozen=True, kw_only=True, tag="correct"):
    """Replaces the mask of an object in a frame.

    size: (width, height) px. points: x, y, and 1 for the object or 0 for the background. box: x0, y0, x1, y1.
    candidates: what the decoder offered; chosen: the index of the one taken, -1 where the mask is none of them.
    gaze: x, y and error radius in that frame. seconds: spent on it since the action before. engine: that decoded it.
    group: number of the first of the events that are undone together; 0 for none.
    source: an imported file; "live" where it was made during the run.
    """

    object: int
    frame: FrameKey
    size: tuple[int, int]
    means: CorrectionMeans
    mask: str
    points: tuple[Click, ...] = ()
    box: tuple[float, float, float, float] | None = None
    candidates: tuple[MaskCandidate, ...] = ()
    chosen: int = -1
    gaze: tuple[float, float, float] | None = None
    seconds: float = 0.0
    engine: str = ""
    group: int = 0
    source: str = ""


class AcceptEvent(_Event, frozen=True, kw_only=True, tag="accept"):
    """Accepts the masks of an object from a first to a last frame as they are."""

    object: int
    first: FrameKey
    last: FrameKey
    seconds: float = 0.0


class CarriedMask(msgspec.Struct, frozen=True):
    """Holds a corrected mask that was moved to another frame."""

    frame: FrameKey
    mask: str


class CarryEvent(_Event, frozen=True, kw_only=True, tag="carry"):
    """Moves the mask of event `of` to other frames of the visit; without masks where it could not be moved."""

    of: int
    masks: tuple[CarriedMask, ...] = ()


class UndoEvent(_Event, frozen=True, kw_only=True, tag="undo"):
    """Undoes event `of`, or the group that it begins."""

    of: int


class RedoEvent(_Event, frozen=True, kw_only=True, tag="redo"):
    """Redoes event `of`, or the group that it begins."""

    of: int


ReviewEvent = BeginEvent | LabelEvent | CorrectionEvent | AcceptEvent | CarryEvent | UndoEvent | RedoEvent


def pack_mask(mask: Mask) -> str:
    """Pack an (H, W) bool mask as counts."""
    return str(encode_mask(mask, "coco_rle")["data"].decode("ascii"))


def unpack_mask(counts: str, size: tuple[int, int]) -> Mask:
    """Unpack an (H, W) bool mask of (width, height); raises `RecordingError` for counts that do not fit."""
    fields = {"encoding": "coco_rle", "width": size[0], "height": size[1], "data": counts.encode("ascii", "replace")}
    try:
        return decode_mask(fields)
    except WireError as error:
        raise RecordingError(f"a corrected mask cannot be read: {error}") from None
