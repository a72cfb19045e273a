"""Names the shown objects by what is recognized where their masks are."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

import numpy as np

from engines import Floats
from engines.recognition.base import Box, RecognizedObject
from realtime.tracking.hypotheses import keyframe_masks
from realtime.tracking.keyframe import Keyframe
from realtime.tracking.recognition_memory import RecognitionMemory
from realtime.tracking.tracked_mask import TrackedMask
from realtime.types import Mask, RecognizedName

MIN_IOU = 0.5
"""Least IoU of a recognized object's box with the mask's for it to be the same object."""
MIN_SCORE = 0.3
"""A name with a lower mean score is not reported."""
DECAY = 0.8
"""Weight of what was recognized in the keyframes before, for each newer one."""
MAX_OBJECTS = 64


@dataclass(slots=True)
class _NamedObject:
    """Holds an object's decayed sum of scores, of how many keyframes, and the newest of these."""

    scores: Floats
    names: tuple[str, ...]
    weight: float = 0.0
    keyframe: Keyframe | None = None


class ObjectNamer:
    """Averages the scores of names over the keyframes of each object. One thread."""

    def __init__(self, memory: RecognitionMemory) -> None:
        self._memory = memory
        self._objects: OrderedDict[int, _NamedObject] = OrderedDict()

    def name_object(self, object_id: int, shown: TrackedMask) -> RecognizedName | None:
        """Return the name of a shown object; None while none is sure enough. shown: its mask."""
        keyframe = shown.provenance.keyframe
        named = self._objects.get(object_id)
        if named is None or named.keyframe is not keyframe:
            self._add_keyframe(object_id, shown, keyframe)
            named = self._objects.get(object_id)
        if named is None:
            return None
        best = int(np.argmax(named.scores))
        score = float(named.scores[best]) / named.weight
        return RecognizedName(named.names[best], score) if score >= MIN_SCORE else None

    def _add_keyframe(self, object_id: int, shown: TrackedMask, keyframe: Keyframe) -> None:
        objects = self._memory.find_objects(keyframe)
        if not objects:
            return
        mask = keyframe_masks(shown.prompt_result.candidates)[shown.index]
        found = find_same_object(objects, measure_box(mask, keyframe.size))
        named = self._objects.get(object_id)
        if named is None:
            named = _NamedObject(np.zeros(len(objects[0].names), np.float32), objects[0].names)
            self._objects[object_id] = named
            while len(self._objects) > MAX_OBJECTS:
                self._objects.popitem(last=False)
        scores = found.scores if found is not None else np.float32(0)
        named.scores = np.asarray(DECAY * named.scores + scores, np.float32)
        named.weight = DECAY * named.weight + 1
        named.keyframe = keyframe


def measure_box(mask: Mask, size: tuple[int, int]) -> Box | None:
    """Measure the box of an (h, w) mask over a picture of (width, height), picture px; None for an empty mask."""
    rows, columns = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
    if not len(rows):
        return None
    x, y = size[0] / mask.shape[1], size[1] / mask.shape[0]
    return (
        float(columns[0] * x - 0.5), float(rows[0] * y - 0.5),
        float((columns[-1] + 1) * x - 0.5), float((rows[-1] + 1) * y - 0.5),
    )  # fmt: skip


def find_same_object(objects: tuple[RecognizedObject, ...], box: Box | None) -> RecognizedObject | None:
    """Find the object whose box overlaps a mask's best; None below `MIN_IOU`."""
    if box is None:
        return None
    best = max(objects, key=lambda each: measure_box_iou(each.box_px, box))
    return best if measure_box_iou(best.box_px, box) >= MIN_IOU else None


def measure_box_iou(one: Box, two: Box) -> float:
    """Measure the intersection over union of two boxes; 0 for empty ones."""
    width, height = min(one[2], two[2]) - max(one[0], two[0]), min(one[3], two[3]) - max(one[1], two[1])
    common = max(width, 0.0) * max(height, 0.0)
    union = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (one, two)) - common
    return common / union if union > 0 else 0.0
