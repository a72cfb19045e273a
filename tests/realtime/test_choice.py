from __future__ import annotations

import numpy as np
import pytest

from engines import Candidates, Floats, Letterbox
from realtime.choice import ChoiceSettings, choose, gaze_disc, iou, vote

BOX = Letterbox(640, 360)
PART, THING, GROUP = (slice(60, 80), slice(60, 80)), (slice(40, 90), slice(40, 100)), (slice(30, 110), slice(30, 150))
FLOOD = (slice(0, 144), slice(0, 256))


def logits(*areas: tuple[slice, slice]) -> Floats:
    out = np.full((len(areas), 256, 256), -5, np.float32)
    for k, area in enumerate(areas):
        out[k][area] = 5
    return out


def shown(area: tuple[slice, slice]) -> Floats:
    return (logits(area)[0] > 0).astype(np.float32)


def candidates(predicted: list[float], *areas: tuple[slice, slice]) -> Candidates:
    return Candidates(logits(*areas), np.array(predicted, np.float32), BOX)


FOUR = candidates([0.99, 0.9, 0.88, 0.86], THING, PART, THING, GROUP)
GAZE = (70 * 2.5, 70 * 2.5)


def test_without_memory_it_is_the_best_scored_of_the_last_three() -> None:
    choice = choose(FOUR, GAZE, 10)
    assert choice.index == 1
    assert choice.agreement is None
    assert choice.confidence == pytest.approx(0.9)


@pytest.mark.parametrize(("area", "index"), [(PART, 1), (THING, 0), (GROUP, 3)])
def test_what_was_on_show_stays_on_show(area: tuple[slice, slice], index: int) -> None:
    choice = choose(FOUR, GAZE, 10, shown(area))
    assert choice.index == index
    assert choice.agreement == pytest.approx(1)


def test_confidence_falls_with_disagreement() -> None:
    one = candidates([0.9], PART)
    assert choose(one, GAZE, 10, shown(PART)).confidence == pytest.approx(0.9)
    assert choose(one, GAZE, 10, shown(GROUP)).confidence < 0.1


def test_one_mask_alone_is_chosen() -> None:
    assert choose(candidates([0.2], GROUP), GAZE, 10).index == 0


def test_a_mask_that_floods_the_picture_loses() -> None:
    assert choose(candidates([0.1, 0.99, 0.7, 0.1], PART, FLOOD, THING, PART), GAZE, 10).index == 2


def test_a_mask_beside_the_gaze_loses_against_an_equal_one_under_it() -> None:
    beside = (slice(100, 140), slice(200, 240))
    assert choose(candidates([0.1, 0.9, 0.9, 0.1], PART, beside, THING, PART), GAZE, 10).index == 2


def test_weights_are_settings() -> None:
    trusting = ChoiceSettings(agreement=0)
    assert choose(FOUR, GAZE, 10, shown(GROUP), trusting).index == 0


def test_a_predicted_iou_that_is_nonsense_is_held_within_bounds() -> None:
    assert 0 <= choose(candidates([3.0, -2.0, 0.5, 7.0], PART, PART, THING, GROUP), GAZE, 10).confidence <= 1


def test_the_gaze_disc_is_where_the_eyes_are() -> None:
    disc = gaze_disc((320, 180), 50, BOX)
    rows, columns = np.nonzero(disc)
    step = 256 / 640
    assert rows.mean() == pytest.approx((180 + 0.5) * step - 0.5, abs=0.2)
    assert columns.mean() == pytest.approx((320 + 0.5) * step - 0.5, abs=0.2)
    assert disc.sum() == pytest.approx(np.pi * (50 * step) ** 2, rel=0.05)
    assert gaze_disc((0, 0), 0, BOX).sum() >= 1


def test_iou_of_nothing_with_nothing_is_one() -> None:
    empty = np.zeros((4, 4), np.float32)
    assert iou(empty, empty) == 1
    assert iou(empty, empty + 1) == 0


def test_a_vote_takes_what_most_points_offer() -> None:
    odd = candidates([0.2, 0.99, 0.3, 0.3], PART, FLOOD, PART, PART)
    lone = candidates([0.2, 0.95, 0.3, 0.3], PART, PART, PART, PART)
    usual = candidates([0.2, 0.9, 0.3, 0.3], THING, THING, GROUP, GROUP)
    answer, choice = vote([lone, odd, usual, usual], GAZE, 10)
    assert answer >= 2
    assert choice.index == 1
    assert 0 < choice.confidence < 0.9


def test_a_vote_of_one_mind_is_sure_and_a_vote_remembers() -> None:
    assert vote([FOUR] * 4, GAZE, 10)[1].confidence == pytest.approx(0.9, abs=0.1)
    _, choice = vote([FOUR] * 4, GAZE, 10, shown(GROUP))
    assert choice.index == 3
    assert choice.agreement == pytest.approx(1, abs=0.05)
