from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import pytest

from realtime.tracking.mask_decoding import GazeMaskDecoder
from realtime.tracking.mask_selection import SelectionSettings
from realtime.tracking.word_search import WordSearch
from tests.realtime.tracking.motion.test_layered_motion import disc, scene
from tests.realtime.tracking.test_mask_carrier import Run


@pytest.mark.parametrize(
    ("confidence", "newer", "recalled"),
    [(0.9, 1, True), (0.55, 1, True), (0.4, 1, False), (0.0, 1, False), (0.9, 0, False)],
)
def test_only_probable_masks_of_earlier_keyframes_are_recalled(confidence: float, newer: int, recalled: bool) -> None:
    run = Run()
    run.push(scene(180, 100, 30))
    result = run.decode(disc(180, 100, 30))
    run.push(scene(180, 100, 30))
    mask = run.warp(result)
    mask = replace(mask, provenance=replace(mask.provenance, confidence=confidence))
    decoder = GazeMaskDecoder(cast(Any, None), run.motion, SelectionSettings(), WordSearch(cast(Any, None)))
    keyframe = replace(result.keyframe, index=result.keyframe.index + newer)
    assert (decoder._recall_mask(mask, keyframe) is not None) == recalled
    assert decoder._recall_mask(None, keyframe) is None


def test_a_mask_is_of_one_candidate_of_one_decode() -> None:
    run = Run()
    run.push(scene(180, 100, 30))
    result, other = (run.decode(disc(180, 100, 30)) for _ in range(2))
    mask = run.warp(result)
    assert mask.is_of(result.candidates, 0)
    assert not mask.is_of(result.candidates, 1)
    assert not mask.is_of(other.candidates, 0)
