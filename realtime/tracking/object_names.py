"""Names the shown objects by what is recognized where their masks are."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

import numpy as np

from engines import Floats
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


@dataclass(slots=True)
class _NamedObject:
    """Holds an object's decayed sum of scores, of how many keyframes, and the newest of these.

    Only its key: a keyframe holds its picture and its embedding, many megabytes.
    """

    scores: Floats
    names: tuple[str, ...]
    weight: float = 0.0
    newest: FrameKey | None = None


class ObjectNamer:
    """Averages the scores of names over the keyframes of each object. One thread."""

    def __init__(self, memory: RecognitionMemory) -> None:
        self._memory = memory
        self._objects: OrderedDict[int, _NamedObject] = OrderedDict()

    def name_object(self, object_id: int, shown: TrackedMask) -> RecognizedName | None:
        """Return the name of a shown object; None while none is sure enough. shown: its mask."""
        keyframe = shown.provenance.keyframe
        named = self._objects.get(object_id)
        if named is None or named.newest != FrameKey.of(keyframe):
            self._add_keyframe(object_id, shown, keyframe)
            named = self._objects.get(object_id)
        if named is None:
            return None
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
        named.newest = FrameKey.of(keyframe)
