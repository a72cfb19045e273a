"""Searches keyframes for the word that a user gave, and scores masks by it. Pure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engines import Floats, MaskCandidates
from engines.recognition.base import WordQuery, WordRegion
from realtime.tracking.hypotheses import keyframe_masks
from realtime.tracking.keyframe import Keyframe
from realtime.tracking.recognition_memory import RecognitionMemory
from realtime.types import FoundWord

FOUND_SCORE = 0.2
"""Of a region that alone decides: of those below, on the COCO stills, one in ten is right."""
MAX_NEAR = 3
"""Regions of the word whose boxes are prompted beside one gaze point."""
REACH_RADII = 8.0
"""Farthest such box from the gaze, in error radii; beyond it the gaze contradicts the word."""


@dataclass(frozen=True, slots=True)
class WordState:
    """The word in force: whether the recognizer knows it, and whether the newest keyframe has it."""

    text: str
    is_known: bool
    is_found: bool = False


class WordSearch:
    """Holds the word in force, and searches what was recognized for it. One thread."""

    def __init__(self, memory: RecognitionMemory) -> None:
        self._memory = memory
        self._query: WordQuery | None = None
        self._seconds: float | None = None  # for which the word is valid, from the next frame on
        self._until_ns: int | None = None
        self._scored: tuple[MaskCandidates, int, float] | None = None
        self._found: tuple[Keyframe, tuple[WordRegion, ...]] | None = None

    @property
    def is_active(self) -> bool:
        """Whether there is a word that can be found."""
        return self._query is not None and self._query.is_known

    def set_query(self, query: WordQuery | None, seconds: float | None) -> None:
        """Replace the word, None for no word. seconds: after which it is dropped, None for never."""
        self._query, self._seconds, self._until_ns = query, seconds, None
        self._scored = self._found = None

    def expire(self, now_ns: int) -> bool:
        """Drop the word when its time is over; True where that was now."""
        if self._seconds is not None:
            self._until_ns, self._seconds = now_ns + round(self._seconds * 1e9), None
        if self._until_ns is None or now_ns < self._until_ns:
            return False
        self.set_query(None, None)
        return True

    def find_regions(self, keyframe: Keyframe) -> tuple[WordRegion, ...]:
        """Find the regions of a keyframe that the word fits, the surest first; none without a word."""
        if self._found is None or self._found[0] is not keyframe:  # asked for every frame, and the same for all of them
            self._found = keyframe, self._search_keyframe(keyframe)
        return self._found[1]

    def _search_keyframe(self, keyframe: Keyframe) -> tuple[WordRegion, ...]:
        recognition = self._memory.find_recognition(keyframe) if self.is_active else None
        return recognition.find_word(self._query) if recognition is not None and self._query is not None else ()

    def find_near(self, keyframe: Keyframe, point_px: tuple[float, float], radius_px: float) -> list[Floats]:
        """Find the boxes, (4,) x0 y0 x1 y1 px, that the word fits near a gaze point; the likeliest first."""
        regions = [
            (self._measure_gap(each, point_px) / max(radius_px, 1.0), each) for each in self.find_regions(keyframe)
        ]
        near = [(each.score / (1 + gap * gap), each) for gap, each in regions if gap <= REACH_RADII]
        near.sort(key=lambda item: -item[0])
        return [np.array(each.box_px, np.float32) for _, each in near[:MAX_NEAR]]

    @staticmethod
    def _measure_gap(region: WordRegion, point_px: tuple[float, float]) -> float:
        """Measure the distance of a point from a region's box, px; 0 inside."""
        x0, y0, x1, y1 = region.box_px
        x, y = point_px
        return float(np.hypot(max(x0 - x, x - x1, 0.0), max(y0 - y, y - y1, 0.0)))

    def score_masks(self, keyframe: Keyframe, masks: NDArray[np.bool_]) -> Floats:
        """Score (K, h, w) masks over a keyframe by the word: (K,), 0..1."""
        recognition = self._memory.find_recognition(keyframe) if self.is_active else None
        if recognition is None or self._query is None:
            return np.zeros(len(masks), np.float32)
        is_older = self._found is not None and self._found[0].index > keyframe.index
        return recognition.score_word(masks, self._query, None if is_older else self.find_regions(keyframe))

    def describe(self, keyframe: Keyframe | None) -> WordState | None:
        """Describe the word in force; None without one."""
        if self._query is None:
            return None
        regions = self.find_regions(keyframe) if keyframe is not None else ()
        is_found = bool(regions) and regions[0].score >= FOUND_SCORE
        return WordState(self._query.text, self._query.is_known, is_found)

    def score_candidate(self, keyframe: Keyframe, candidates: MaskCandidates, index: int) -> FoundWord | None:
        """Score a candidate on its keyframe; None without a word."""
        if self._query is None:
            return None
        if self._scored is None or self._scored[0] is not candidates or self._scored[1] != index:
            mask = keyframe_masks(candidates)[index]
            self._scored = candidates, index, float(self.score_masks(keyframe, mask[None])[0])
        return FoundWord(self._query.text, self._scored[2])
