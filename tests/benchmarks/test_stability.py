"""Tests stability: 1 for a mask of the same share of the object, however that moves; less for flicker."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.streaming_eval.clips import Clip
from benchmarks.streaming_eval.playback import MaskArrival, PlaybackLog, ScoredMoment, SentFrame
from benchmarks.streaming_eval.scoring import iou
from benchmarks.streaming_eval.stability import estimate_motion, mask_stability, score_stability, warp_mask
from engines import Mask
from tests.benchmarks.drawn import SHAPE, disc, random_masks, turned

EMPTY = np.zeros(SHAPE, bool)


@given(st.integers(0, 10_000))
@settings(max_examples=15, deadline=None)
def test_the_truth_is_steady_however_it_moves(seed: int) -> None:
    a, b = random_masks(2, seed)
    assert mask_stability(a, b, a, b) == 1.0


@given(st.integers(0, 10_000))
@settings(max_examples=15, deadline=None)
def test_a_still_mask_of_a_still_object_is_steady_right_or_wrong(seed: int) -> None:
    truth, mask = random_masks(2, seed)
    assert mask_stability(mask, mask, truth, truth) == 1.0


@given(x=st.floats(-8, 8), y=st.floats(-6, 6), angle=st.floats(-8, 8), scale=st.floats(0.93, 1.07))
@settings(max_examples=25, deadline=None)
def test_the_motion_of_a_rigid_object_is_found(x: float, y: float, angle: float, scale: float) -> None:
    before, after = turned(80, 45, 10), turned(80 + x, 45 + y, 10 + angle, scale)
    assert (
        iou(warp_mask(before, estimate_motion(before, after)), after) > 0.9
    )  # a mask of 1200 px, its corners rounded to pixels


def left_half(mask: Mask) -> Mask:
    out = mask.copy()
    out[:, int(np.argwhere(mask)[:, 1].mean()) :] = False
    return out


def test_a_part_that_moves_along_is_steady_and_flicker_is_not() -> None:
    truths = [disc(40 + 4 * i, 45, 24) for i in range(6)]
    parts = [left_half(truth) for truth in truths]
    pairs = list(pairwise(truths))
    along = [mask_stability(a, b, *pair) for (a, b), pair in zip(pairwise(parts), pairs, strict=True)]
    flicker = [mask_stability(a, pair[1], *pair) for a, pair in zip(parts, pairs, strict=False)]
    stuck = [mask_stability(parts[0], parts[0], *pair) for pair in pairs]
    assert min(v for v in along if v is not None) > 0.9
    assert max(v for v in flicker if v is not None) < 0.6
    assert max(v for v in stuck if v is not None) < 0.9


def test_a_mask_and_no_mask() -> None:
    truth, mask = disc(60, 45, 20), disc(62, 45, 18)
    assert mask_stability(EMPTY, mask, truth, truth) == 0.0
    assert mask_stability(mask, EMPTY, truth, truth) == 0.0
    assert mask_stability(EMPTY, EMPTY, truth, truth) is None


@pytest.mark.parametrize("pair", [(EMPTY, disc(60, 45, 20)), (disc(60, 45, 20), EMPTY), (EMPTY, EMPTY)])
def test_an_unseen_object_has_no_motion(pair: tuple[Mask, Mask]) -> None:
    np.testing.assert_array_equal(estimate_motion(*pair), np.eye(2, 3, dtype=np.float32))


def run_of(truths: list[Mask], masks: list[Mask | None], play: int = 1) -> tuple[PlaybackLog, list[MaskArrival]]:
    clip = Clip("a", (b"",) * len(truths), (tuple(truths),))
    played = PlaybackLog(24.0)
    played.moments = [ScoredMoment(10 + 9 / 24, clip, 8, 0, play)]
    played.sent = {i: SentFrame(10 + i / 24, clip, i, play) for i in range(len(truths))}
    arrivals = [MaskArrival(10.01 + i / 24, mask, i, 0.0) for i, mask in enumerate(masks)]
    return played, arrivals


def test_a_run_gives_one_value_for_each_pair_of_masked_frames() -> None:
    truths = [disc(40 + 3 * i, 45, 20) for i in range(12)]
    assert score_stability(*run_of(truths, list(truths))) == [1.0] * 11
    gaps: list[Mask | None] = [None if i == 5 else truth for i, truth in enumerate(truths)]
    assert sorted(score_stability(*run_of(truths, gaps))) == [0.0, 0.0] + [1.0] * 9


def test_frames_of_two_plays_are_not_compared() -> None:
    truths = [disc(40 + 3 * i, 45, 20) for i in range(12)]
    played, arrivals = run_of(truths, list(truths))
    played.sent = {i: SentFrame(s.at_s, s.clip, s.number, 1 if i < 6 else 2) for i, s in played.sent.items()}
    assert len(score_stability(played, arrivals)) == 10
