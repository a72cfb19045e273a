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
MIN_WORD_SCORE = 0.1
"""A box with a lower score of a word is no region of that word."""
MAX_REGIONS = 24
MAX_OVERLAP = 0.5
"""Boxes that a word fits with a higher IoU are of one object, whatever else they may be: the surest is its region."""


@dataclass(frozen=True, slots=True, eq=False)
class DetectedObjects:
    """A `Recognition` of boxes with scores of fixed names. size: (width, height) of the picture, px.

    candidates: boxes for words, also unsure ones, in the picture that was searched. displacement: from the present one
        back to that, (h, w, 2) in pixels of its own grid; None where it is the same.
    """

    names: tuple[str, ...]
    objects: tuple[RecognizedObject, ...]
    size: tuple[int, int]
    candidates: tuple[RecognizedObject, ...] = ()
    displacement: Floats | None = None

    def score_names(self, masks: NDArray[np.bool_]) -> Floats:
        """See `Recognition.score_names`: the scores of the object whose box is the mask's."""
        scores = np.zeros((len(masks), len(self.names)), np.float32)
        for row, mask in zip(scores, masks, strict=True):
            found = self._find_object(measure_box(mask, self.size))
            if found is not None:
                row[:] = found.scores
        return scores

    def score_word(
        self, masks: NDArray[np.bool_], query: WordQuery, regions: tuple[WordRegion, ...] | None = None
    ) -> Floats:
        """See `Recognition.score_word`: the best region's score, times the squared IoU of its box with the mask's.

        So of the parts and wholes at the place of a region those are preferred that fill its box, and just that.
        """
        regions = self.find_word(query) if regions is None else regions
        scores = np.zeros(len(masks), np.float32)
        boxes = (measure_box(mask, self.size) for mask in masks) if regions else ()
        for k, box in enumerate(boxes):
            if box is not None:
                scores[k] = max(each.score * measure_box_iou(each.box_px, box) ** 2 for each in regions)
        return scores

    def find_word(self, query: WordQuery) -> tuple[WordRegion, ...]:
        """See `Recognition.find_word`."""
        candidates = self.candidates or self.objects
        if not candidates or not query.is_known:
            return ()
        scores = self._score_code(np.array([each.scores for each in candidates]), query)
        found: list[WordRegion] = []
        for k in np.argsort(-scores, kind="stable").tolist():
            if scores[k] < MIN_WORD_SCORE:
                break
            box: Box | None = candidates[k].box_px
            if self.displacement is not None and self.candidates and box is not None:
                box = move_box(box, self.displacement, self.size)
            if box is not None and all(measure_box_iou(box, each.box_px) <= MAX_OVERLAP for each in found):
                found.append(WordRegion(box, float(scores[k])))
        return tuple(found[:MAX_REGIONS])

    def move(self, displacement: Floats) -> DetectedObjects:
        """See `Recognition.move`: by the median motion within each box; objects that left the picture are dropped.

        Boxes for words are moved when a word asks for them.
        """
        objects = _move_objects(self.objects, displacement, self.size)
        candidates = self.candidates
        if self.displacement is not None:
            candidates = _move_objects(candidates, self.displacement, self.size)
        return replace(self, objects=objects, candidates=candidates, displacement=displacement)

    @staticmethod
    def _score_code(scores: Floats, query: WordQuery) -> Floats:
        """Score a word whose code is a weight of each name: (K, names) scores to (K,)."""
        return np.asarray((scores * query.code).max(1), np.float32)

    def _find_object(self, box: Box | None) -> RecognizedObject | None:
        if box is None or not self.objects:
            return None
        best = max(self.objects, key=lambda each: measure_box_iou(each.box_px, box))
        return best if measure_box_iou(best.box_px, box) >= MIN_IOU else None


def _move_objects(
    objects: tuple[RecognizedObject, ...], displacement: Floats, size: tuple[int, int]
) -> tuple[RecognizedObject, ...]:
    moved = ((each, move_box(each.box_px, displacement, size)) for each in objects)
    return tuple(replace(each, box_px=box) for each, box in moved if box is not None)
