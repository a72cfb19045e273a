"""Applies corrections to the masks of a recording as they are read, for exports."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import TypeVar, cast

import cv2
import numpy as np

from realtime.comms.messages import MaskMessage
from realtime.correction.state import CorrectedMask, CorrectionState
from realtime.recording.labels import LabelFile
from realtime.recording.mask_events import MaskEvent, RecordingEvent
from realtime.recording.reader import RecordingReader
from realtime.types import FrameKey, Mask

CARRIED_QUALITY = 0.95
"""Confidence of a mask that was moved from a correction: one that was corrected in its own frame is preferred."""
_Event = TypeVar("_Event", bound=RecordingEvent)


@dataclass(slots=True)
class CorrectedMasks:
    """Replaces recorded masks by corrected ones, where there are any of the frame's size.

    published: the object of each corrected frame in which the run had published a mask, as far as events were adjusted.
    """

    state: CorrectionState = field(default_factory=CorrectionState)
    published: dict[FrameKey, int] = field(default_factory=dict)

    def find(self, mask: MaskEvent) -> CorrectedMask | None:
        """Find what replaces a recorded mask; None where it stays."""
        found = self.state.find_masks(mask.key).get(mask.object)
        return found if found is not None and found.size == mask.size else None

    def adjust(self, events: Iterable[_Event]) -> Iterator[_Event]:
        """Yield events, with place, size, state and confidence of the masks that replace recorded ones."""
        for event in events:
            if isinstance(event, MaskEvent) and event.key in self.state.masks:
                self.published[event.key] = event.object
                found = self.find(event)
                yield event if found is None else cast("_Event", _replace(event, found))
            else:
                yield event

    def read_message(self, recording: RecordingReader, mask: MaskEvent) -> MaskMessage:
        """Read a published mask, with the corrected pixels; raises `RecordingError`."""
        message, found = recording.read_mask(mask.entry), self.find(mask)
        return message if found is None else replace(message, mask=found.unpack(), state="locked")

    def correct_message(self, message: MaskMessage) -> MaskMessage:
        """Return a published message with the corrected mask, or as it is."""
        key = FrameKey(message.frame.index, message.timing_ns.frame_received)
        found = self.state.find_masks(key).get(message.object)
        if found is None or found.size != (message.frame.width, message.frame.height):
            return message
        return replace(message, mask=found.unpack(), state="locked")

    def select_added(
        self, taken: Iterable[tuple[FrameKey, int]], labels: LabelFile, every_s: float
    ) -> dict[FrameKey, list[CorrectedMask]]:
        """Select masks of kept objects in frames in which the run published none of theirs, after `adjust`.

        One of each object in every `every_s` s, all with 0; none where one was taken: (frame, object).
        """
        full = {(object_id, _slot(key, every_s)) for key, object_id in taken} if every_s else set()
        best: dict[tuple[int, object], tuple[FrameKey, CorrectedMask]] = {}
        for key, masks in self.state.masks.items():
            for object_id, mask in masks.items():
                if self.published.get(key) == object_id or not labels.get_label(object_id).keep:
                    continue
                slot = object_id, _slot(key, every_s)
                if slot not in full and (slot not in best or (best[slot][1].is_carried and not mask.is_carried)):
                    best[slot] = key, mask
        found: dict[FrameKey, list[CorrectedMask]] = {}
        for key, mask in best.values():
            found.setdefault(key, []).append(mask)
        return found


def _slot(key: FrameKey, every_s: float) -> object:
    return int(key.received_ns / 1e9 // every_s) if every_s else key


def _replace(event: MaskEvent, found: CorrectedMask) -> MaskEvent:
    mask = found.unpack()
    box, area, centroid = measure_mask(mask)
    quality = CARRIED_QUALITY if found.is_carried else 1.0
    return replace(
        event, state="locked", score=1.0, confidence=quality, box=box, area_px=area, centroid_px=centroid
    )  # fmt: skip


def measure_mask(mask: Mask) -> tuple[tuple[int, int, int, int] | None, int, tuple[float, float] | None]:
    """Measure the box x0, y0, x1, y1, the area and the centroid of an (H, W) bool mask, px; None of an empty one."""
    x, y, width, height = cv2.boundingRect(mask.astype(np.uint8))
    if not width:
        return None, 0, None
    rows, columns = np.nonzero(mask[y : y + height, x : x + width])
    return (x, y, x + width, y + height), len(rows), (float(columns.mean()) + x, float(rows.mean()) + y)
