"""Holds the objects that a detector of fixed names found in a picture, and searches them for words. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from engines.base import Floats
from engines.recognition.base import Box, RecognizedObject, WordQuery, WordRegion
from engines.recognition.boxes import measure_box, measure_box_iou, move_box

MIN_IOU = 0.5
"""Least IoU of an object's box with the mask's for it to be the same object."""
MIN_WORD_SCORE = 0.2
"""An object with a lower score of a word is no region of that word."""


@dataclass(frozen=True, slots=True, eq=False)
class DetectedObjects:
    """A `Recognition` of boxes with scores of fixed names. size: (width, height) of the picture, px."""

    names: tuple[str, ...]
    objects: tuple[RecognizedObject, ...]
    size: tuple[int, int]

    def score_names(self, masks: NDArray[np.bool_]) -> Floats:
        """See `Recognition.score_names`: the scores of the object whose box is the mask's."""
        scores = np.zeros((len(masks), len(self.names)), np.float32)
        for row, mask in zip(scores, masks, strict=True):
            found = self._find_object(measure_box(mask, self.size))
            if found is not None:
                row[:] = found.scores
        return scores

    def score_word(self, masks: NDArray[np.bool_], query: WordQuery) -> Floats:
        """See `Recognition.score_word`."""
        return self._score_code(self.score_names(masks), query)

    def find_word(self, query: WordQuery) -> tuple[WordRegion, ...]:
        """See `Recognition.find_word`."""
        if not self.objects:
            return ()
        scores = self._score_code(np.array([each.scores for each in self.objects]), query).tolist()
        found = [
            WordRegion(each.box_px, score)
            for each, score in zip(self.objects, scores, strict=True)
            if score >= MIN_WORD_SCORE
        ]
        return tuple(sorted(found, key=lambda region: -region.score))

    def move(self, displacement: Floats) -> DetectedObjects:
        """See `Recognition.move`: by the median motion within each box; objects that left the picture are dropped."""
        moved = ((each, move_box(each.box_px, displacement, self.size)) for each in self.objects)
        return replace(self, objects=tuple(replace(each, box_px=box) for each, box in moved if box is not None))

    @staticmethod
    def _score_code(scores: Floats, query: WordQuery) -> Floats:
        """Score a word whose code is a weight of each name: (K, names) scores to (K,)."""
        return np.asarray((scores * query.code).max(1), np.float32)

    def _find_object(self, box: Box | None) -> RecognizedObject | None:
        if box is None or not self.objects:
            return None
        best = max(self.objects, key=lambda each: measure_box_iou(each.box_px, box))
        return best if measure_box_iou(best.box_px, box) >= MIN_IOU else None
