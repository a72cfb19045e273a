from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines import Floats, Letterbox, MaskCandidates
from realtime.tracking.mask_selection import MaskSelection, SelectionSettings, compute_support, rank_levels, select_mask

BOX = Letterbox(640, 360)
PART, OBJECT, GROUP = (slice(60, 80), slice(60, 80)), (slice(40, 90), slice(40, 100)), (slice(30, 110), slice(30, 150))
FLOOD = (slice(0, 144), slice(0, 256))


def logits(*areas: tuple[slice, slice]) -> Floats:
    out = np.full((len(areas), 256, 256), -5, np.float32)
    for k, area in enumerate(areas):
        out[k][area] = 5
    return out


def soft_mask(area: tuple[slice, slice]) -> Floats:
    return (logits(area)[0] > 0).astype(np.float32)


def candidates(predicted: list[float], *areas: tuple[slice, slice]) -> MaskCandidates:
    return MaskCandidates(logits(*areas), np.array(predicted, np.float32), BOX)


def choose(
    found: MaskCandidates, gaze: tuple[float, float], radius_px: float, previous: Floats | None = None,
    settings: SelectionSettings | None = None, **more: Any,
) -> MaskSelection:  # fmt: skip
    rows, columns = np.ogrid[:256, :256]
    x, y = gaze[0] / 2.5, gaze[1] / 2.5
    disc = ((columns - x) ** 2 + (rows - y) ** 2 <= (radius_px / 2.5) ** 2).astype(np.float32)
    return select_mask(found.logits > 0, found.predicted_iou, disc, previous, 144 * 256, settings, **more)


FOUR = candidates([0.99, 0.9, 0.88, 0.86], OBJECT, PART, OBJECT, GROUP)
GAZE = (70 * 2.5, 70 * 2.5)


def test_without_memory_it_is_the_best_scored_of_the_last_three() -> None:
    choice = choose(FOUR, GAZE, 10)
    assert choice.index == 1
    assert choice.agreement is None
    assert choice.confidence == pytest.approx(0.9)


@pytest.mark.parametrize(("area", "index"), [(PART, 1), (OBJECT, 0), (GROUP, 3)])
def test_the_shown_mask_is_preferred(area: tuple[slice, slice], index: int) -> None:
    choice = choose(FOUR, GAZE, 10, soft_mask(area))
    assert choice.index == index
    assert choice.agreement == pytest.approx(1)


def test_confidence_falls_with_disagreement() -> None:
    one = candidates([0.9], PART)
    assert choose(one, GAZE, 10, soft_mask(PART)).confidence == pytest.approx(0.9)
    assert choose(one, GAZE, 10, soft_mask(GROUP)).confidence < 0.1


def test_one_mask_alone_is_chosen() -> None:
    assert choose(candidates([0.2], GROUP), GAZE, 10).index == 0


def test_a_mask_that_floods_the_picture_loses() -> None:
    assert choose(candidates([0.1, 0.99, 0.7, 0.1], PART, FLOOD, OBJECT, PART), GAZE, 10).index == 2


def test_a_mask_beside_the_gaze_loses_against_an_equal_one_under_it() -> None:
    beside = (slice(100, 140), slice(200, 240))
    assert choose(candidates([0.1, 0.9, 0.9, 0.1], PART, beside, OBJECT, PART), GAZE, 10).index == 2


def test_weights_are_settings() -> None:
    trusting = SelectionSettings(agreement=0)
    assert choose(FOUR, GAZE, 10, soft_mask(GROUP), trusting).index == 0


def test_a_predicted_iou_that_is_nonsense_is_held_within_bounds() -> None:
    assert 0 <= choose(candidates([3.0, -2.0, 0.5, 7.0], PART, PART, OBJECT, GROUP), GAZE, 10).confidence <= 1


@pytest.mark.parametrize(("wanted", "index"), [(0, 1), (1, 2), (2, 3)])
def test_a_requested_level_is_selected(wanted: int, index: int) -> None:
    choice = choose(FOUR, GAZE, 10, soft_mask(PART), level=wanted)
    assert (choice.index, choice.level) == (index, wanted)


def test_granularity_is_ranked_by_area_in_any_order() -> None:
    areas = [np.asarray(logits(area)[0] > 0) for area in (OBJECT, GROUP, PART, OBJECT)]
    assert rank_levels(np.stack(areas)) == (None, 2, 0, 1)
    assert rank_levels(np.stack(areas[:1])) == (None,)


def test_a_vote_supports_the_mask_that_most_points_offer() -> None:
    mine = candidates([0.2, 0.95, 0.9, 0.3], PART, FLOOD, OBJECT, GROUP)
    usual = candidates([0.2, 0.9, 0.3, 0.3], OBJECT, OBJECT, PART, GROUP)
    voted = compute_support(mine, [usual] * 3)
    assert voted[2] > 0.85
    assert voted[1] < 0.6
    choice = choose(mine, GAZE, 10, voted=voted)
    assert choice.index == 2
    assert choice.confidence == pytest.approx(float(voted[2]))


def test_a_unanimous_vote_has_full_support() -> None:
    np.testing.assert_allclose(compute_support(FOUR, [FOUR] * 3), [0.99, 0.9, 0.99, 0.86], atol=1e-6)


@given(st.lists(st.lists(st.floats(0, 1), min_size=4, max_size=4), min_size=0, max_size=3))
def test_support_stays_within_bounds(predicted: list[list[float]]) -> None:
    others = [candidates(scores, PART, OBJECT, GROUP, FLOOD) for scores in predicted]
    voted = compute_support(FOUR, others)
    assert ((voted >= 0) & (voted <= 1)).all()


def test_support_of_empty_masks_is_none() -> None:
    nothing = MaskCandidates(np.full((4, 256, 256), -5, np.float32), np.ones(4, np.float32), BOX)
    assert compute_support(nothing, [FOUR]).max() == 0
