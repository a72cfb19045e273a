"""Names the shown objects by what is recognized where their masks are."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

import numpy as np

from engines import Floats, MaskCandidates
from realtime.tracking.hypotheses import keyframe_masks
from realtime.tracking.keyframe import Keyframe
from realtime.tracking.recognition_memory import RecognitionMemory
from realtime.tracking.tracked_mask import TrackedMask
from realtime.types import FrameKey, RecognizedName

MIN_SCORE = 0.3
"""A name with a lower mean score is not reported."""
DECAY = 0.8
"""Weight of what was recognized in the keyframes before, for each newer one."""
MAX_OBJECTS = 64
SAME_AREA = 0.5
"""Least ratio of areas of two masks of one thing: beyond it, one is a part of the other, which has another name."""


@dataclass(slots=True)
class _NamedObject:
    """Holds an object's decayed sum of scores, of how many keyframes, and the newest of these.

    Only its key: a keyframe holds its picture and its embedding, many megabytes. area: share of the picture that the
    named mask covers.
    """

    scores: Floats
    names: tuple[str, ...]
    weight: float = 0.0
    newest: FrameKey | None = None
    area: float = 0.0


class ObjectNamer:
    """Averages the scores of names over the keyframes of each object. One thread."""

    def __init__(self, memory: RecognitionMemory) -> None:
        self._memory = memory
        self._objects: OrderedDict[int, _NamedObject] = OrderedDict()
        self._measured: tuple[MaskCandidates, int, float] | None = None

    def name_object(self, object_id: int, shown: TrackedMask) -> RecognizedName | None:
        """Return the name of a shown object; None while none is sure enough. shown: its mask.

        A name belongs to the mask that it was recognized for: where a part or the whole of it is shown instead, there
        is none until that is recognized.
        """
        keyframe, area = shown.provenance.keyframe, self._measure_area(shown)
        named = self._objects.get(object_id)
        if named is None or named.newest != FrameKey.of(keyframe):
            self._add_keyframe(object_id, shown, keyframe)
            named = self._objects.get(object_id)
        if named is None or not SAME_AREA * named.area <= area <= named.area / SAME_AREA:
            return None
        named.area = area  # which changes with the distance
        best = int(np.argmax(named.scores))
        score = float(named.scores[best]) / named.weight
        return RecognizedName(named.names[best], score) if score >= MIN_SCORE else None

    def _add_keyframe(self, object_id: int, shown: TrackedMask, keyframe: Keyframe) -> None:
        recognition = self._memory.find_recognition(keyframe)
        if recognition is None:
            return
        mask = keyframe_masks(shown.prompt_result.candidates)[shown.index]
        scores = recognition.score_names(mask[None])[0]
        named = self._objects.get(object_id)
        if named is None:
            named = _NamedObject(np.zeros_like(scores), recognition.names)
            self._objects[object_id] = named
            while len(self._objects) > MAX_OBJECTS:
                self._objects.popitem(last=False)
        named.scores = np.asarray(DECAY * named.scores + scores, np.float32)
        named.weight = DECAY * named.weight + 1
        named.newest, named.area = FrameKey.of(keyframe), self._measure_area(shown)

    def _measure_area(self, shown: TrackedMask) -> float:
        """Measure the share of its keyframe that a mask covers; once for each candidate that is shown."""
        candidates, index = shown.prompt_result.candidates, shown.index
        if self._measured is None or self._measured[0] is not candidates or self._measured[1] != index:
            self._measured = candidates, index, float(keyframe_masks(candidates)[index].mean())
        return self._measured[2]
