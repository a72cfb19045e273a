from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines import Floats, Letterbox, MaskCandidates
from realtime.tracking.hypotheses import Hypothesis, keyframe_masks, make_hypotheses, rank_levels

Area = tuple[slice, slice]
BOX = Letterbox(640, 360)
PART, OBJECT, GROUP = (slice(60, 80), slice(60, 80)), (slice(40, 90), slice(40, 100)), (slice(30, 110), slice(30, 150))
FLOOD = (slice(0, 144), slice(0, 256))
GAZE = (70 * 2.5, 66 * 2.5)
"""On the part, near the middle of the object; a logit is 2.5 px wide."""


def logits(*areas: Area) -> Floats:
    out = np.full((len(areas), 256, 256), -5, np.float32)
    for k, area in enumerate(areas):
        out[k][area] = 5
    return out


def candidates(predicted: list[float], *areas: Area) -> MaskCandidates:
    return MaskCandidates(logits(*areas), np.array(predicted, np.float32), BOX)


FOUR = candidates([0.99, 0.9, 0.88, 0.86], OBJECT, PART, OBJECT, GROUP)


def find(*found: MaskCandidates, gaze: tuple[float, float] = GAZE, deviation_px: float = 20) -> list[Hypothesis]:
    return make_hypotheses([(gaze, each) for each in found], gaze, deviation_px)


def areas_of(hypotheses: list[Hypothesis]) -> list[int]:
    return sorted(round(each.area_share * 144 * 256) for each in hypotheses)


def test_equal_candidates_are_one_hypothesis() -> None:
    found = find(FOUR, FOUR)
    assert len(found) == 3
    of_object = next(each for each in found if each.level == 1 or each.first_share)
    assert of_object.first_share == 0.5, "SAM offers it as its first and as its middle mask"


def test_candidates_that_differ_are_not() -> None:
    assert areas_of(find(candidates([0.9] * 4, PART, OBJECT, GROUP, FLOOD))) == [400, 3000, 9600, 36864]


def test_support_is_the_share_of_points_that_offer_a_mask() -> None:
    other = candidates([0.9] * 4, GROUP, GROUP, GROUP, GROUP)
    supports = {round(each.area_share * 36864): each.support for each in find(FOUR, other, other, FOUR)}
    assert supports[9600] == pytest.approx(1.0)
    assert supports[400] == pytest.approx((2 + 2 * 400 / 9600) / 4, abs=0.01)


@pytest.mark.parametrize(
    ("better", "worse", "gaze"),
    [
        (OBJECT, (slice(100, 140), slice(200, 240)), GAZE),  # under the gaze, not beside it
        (PART, GROUP, GAZE),  # a small mask under the gaze is met by chance more seldom
        (OBJECT, (slice(60, 110), slice(65, 125)), GAZE),  # in its middle, not at its edge
    ],
)
def test_the_gaze_is_likelier_near_the_middle_of_a_mask(
    better: object, worse: object, gaze: tuple[float, float]
) -> None:
    ratios = [find(candidates([0.9], area), gaze=gaze)[0].gaze_log_ratio for area in (better, worse)]  # type: ignore[arg-type]
    assert ratios[0] > ratios[1] + 0.3


def test_the_whole_picture_is_as_likely_as_no_object() -> None:
    whole = find(candidates([0.9], FLOOD), gaze=(320, 180), deviation_px=1e4)[0]
    assert whole.gaze_log_ratio == pytest.approx(0, abs=0.02)


@given(st.floats(-1e4, 1e4), st.floats(-1e4, 1e4), st.floats(0, 1e4))
def test_every_gaze_point_has_a_finite_likelihood(x: float, y: float, deviation_px: float) -> None:
    for each in find(FOUR, gaze=(x, y), deviation_px=deviation_px):
        assert math.isfinite(each.gaze_log_ratio)


@given(st.lists(st.lists(st.floats(0, 1), min_size=4, max_size=4), min_size=0, max_size=3))
def test_shares_stay_within_bounds(predicted: list[list[float]]) -> None:
    others = [candidates(scores, PART, OBJECT, GROUP, FLOOD) for scores in predicted]
    for each in find(FOUR, *others):
        for share in (each.support, each.stability, each.first_share, each.whole_share, each.area_share, each.fate):
            assert 0 <= share <= 1 + 1e-6


def test_empty_masks_are_a_hypothesis_only_where_there_is_no_other() -> None:
    nowhere = (slice(0, 0), slice(0, 0))
    assert areas_of(find(candidates([0.9] * 4, nowhere, PART, nowhere, OBJECT))) == [400, 3000]
    assert all(each.area_share == 0 for each in find(candidates([0.9] * 4, *[nowhere] * 4)))


def test_a_moving_object_has_common_fate_at_every_grid() -> None:
    for shape in ((144, 256), (72, 128), (90, 160)):
        motion = np.zeros((*shape, 2), np.float32)
        scale = shape[1] / 256
        rows, columns = (slice(round(part.start * scale), round(part.stop * scale)) for part in OBJECT)
        motion[rows, columns] = 6 * scale
        fates = {
            round(each.area_share * 36864): each.fate
            for each in make_hypotheses([(GAZE, FOUR)], GAZE, 20, [motion, motion])
        }
        assert fates[3000] == pytest.approx(1.0)
        assert fates[400] == pytest.approx(0, abs=1e-3)
        assert fates[9600] == pytest.approx(0, abs=1e-3)


def test_large_logits_are_measured_on_a_coarser_grid() -> None:
    assert keyframe_masks(FOUR).shape == (4, 72, 128)
    small = MaskCandidates(FOUR.logits, FOUR.predicted_iou, Letterbox(640, 360, picture_side=512))
    assert keyframe_masks(small).shape == (4, 72, 128)


def test_granularity_is_ranked_by_area_in_any_order() -> None:
    areas = [np.asarray(logits(area)[0] > 0) for area in (OBJECT, GROUP, PART, OBJECT)]
    assert rank_levels(np.stack(areas)) == (None, 2, 0, 1)
    assert rank_levels(np.stack(areas[:1])) == (None,)


def test_the_mask_of_a_hypothesis_is_averaged_over_its_candidates() -> None:
    wider = candidates([0.9] * 4, FLOOD, FLOOD, (slice(40, 90), slice(40, 104)), FLOOD)
    wider.logits[2, 40:90, 100:104] = 2
    chosen = next(each for each in find(FOUR, wider) if each.level == 1 or each.first_share)
    averaged = chosen.average()
    assert len(chosen.members) == 3, "twice of the one, once of the other"
    assert np.array_equal(averaged.candidates.logits[averaged.index], (2 * FOUR.logits[2] + wider.logits[2]) / 3)
    others = [k for k in range(4) if k != chosen.index]
    assert np.array_equal(averaged.candidates.logits[others], chosen.candidates.logits[others])
    assert averaged.average() is averaged


def test_a_candidate_that_is_far_too_certain_does_not_decide_alone() -> None:
    certain = candidates([0.9] * 4, OBJECT, OBJECT, OBJECT, OBJECT)
    certain.logits[:] *= 100
    certain.logits[:, 40:42, 40:100] = -500
    chosen = max(find(FOUR, certain), key=lambda each: len(each.members))
    least = chosen.average().candidates.logits[chosen.index].min()
    assert least >= -6


def test_a_mask_of_a_box_that_the_word_fits_is_less_unlikely_far_from_the_gaze() -> None:
    near, far = candidates([0.9], OBJECT), candidates([0.9], (slice(70, 110), slice(190, 230)))
    plain, named = (
        {each.prompt_index: each.gaze_log_ratio for each in found}
        for found in (
            make_hypotheses([(GAZE, near), (GAZE, far)], GAZE, 60),
            make_hypotheses([(GAZE, near)], GAZE, 60, named=[((0, 0), far)]),
        )
    )
    assert named[0] == plain[0]
    assert plain[1] + 0.3 < named[1] < named[0]
