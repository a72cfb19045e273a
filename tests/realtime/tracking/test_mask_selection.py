from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from engines import Embedding, MaskCandidates
from realtime.tracking.hypotheses import make_hypotheses
from realtime.tracking.keyframe import Keyframe
from realtime.tracking.mask_selection import Belief, SelectionSettings, calibrate, discount, update_belief
from tests.realtime.tracking.test_hypotheses import FLOOD, FOUR, GAZE, GROUP, OBJECT, PART, candidates

KEYFRAME = Keyframe(1, 0.0, 0, 0, (640, 360), Embedding("none", FOUR.letterbox, ()), 0, 0)
STILL = np.zeros((72, 128, 2), np.float32)
BESIDE = (slice(100, 140), slice(200, 240))


def believe(
    *found: MaskCandidates, prior: Belief | None = None, displacement: np.ndarray | None = STILL,
    settings: SelectionSettings | None = None,
) -> Belief:  # fmt: skip
    hypotheses = make_hypotheses([(GAZE, each) for each in found], GAZE, 20)
    return update_belief(KEYFRAME, hypotheses, settings or SelectionSettings(), prior, displacement)


def shown(belief: Belief) -> int:
    """The area of the best hypothesis, in logits."""
    return round(belief.hypotheses[0].area_share * 144 * 256)


def area_of(part: tuple[slice, slice]) -> int:
    return (part[0].stop - part[0].start) * (part[1].stop - part[1].start)


@pytest.mark.parametrize(
    ("found", "best"),
    [
        ([candidates([0.1, 0.99, 0.7, 0.1], OBJECT, FLOOD, OBJECT, FLOOD)], OBJECT),  # what floods the picture loses
        ([candidates([0.1, 0.9, 0.9, 0.1], OBJECT, BESIDE, OBJECT, BESIDE)], OBJECT),  # and what is beside the gaze
        ([candidates([0.2], GROUP)], GROUP),  # one mask alone
        ([FOUR] + [candidates([0.9] * 4, *[GROUP] * 4)] * 4, GROUP),  # what most points offer wins
    ],
)
def test_the_best_hypothesis(found: list[MaskCandidates], best: tuple[slice, slice]) -> None:
    assert shown(believe(*found)) == area_of(best)


def believe_word(*scores: float, named: tuple[MaskCandidates, ...] = (), words: bool = True) -> Belief:
    """Believe in an object and one beside the gaze, which a word fits with these scores."""
    both = candidates([0.9] * 4, OBJECT, BESIDE, OBJECT, BESIDE)

    def score_word(masks: np.ndarray) -> np.ndarray:
        return np.array([scores[int(_is_beside(mask))] for mask in masks], np.float32)

    hypotheses = make_hypotheses(
        [(GAZE, both)], GAZE, 60, named=[((0, 0), each) for each in named], score_word=score_word if words else None
    )
    return update_belief(KEYFRAME, hypotheses, SelectionSettings())


def _is_beside(mask: np.ndarray) -> bool:
    return bool(mask[60, 110])


@given(st.floats(0, 1), st.floats(0, 1))
def test_a_word_makes_what_it_fits_more_probable_and_one_that_fits_all_alike_changes_nothing(
    one: float, two: float
) -> None:
    without, alike = believe_word(words=False), believe_word(one, one)
    assert [each.area_share for each in alike.hypotheses] == [each.area_share for each in without.hypotheses]
    assert alike.probabilities == pytest.approx(without.probabilities)
    low, high = sorted((one, two))
    first = without.hypotheses[0].mask
    believed = believe_word(*((low, high) if _is_beside(first) else (high, low)))
    assert np.array_equal(believed.hypotheses[0].mask, first)
    assert believed.probabilities[0] >= without.probabilities[0] - 1e-9
    assert believed.confidence >= without.confidence - 1e-9


def test_the_box_of_a_word_adds_candidates_but_no_support() -> None:
    group = candidates([0.9] * 4, *[GROUP] * 4)
    with_box, without = believe_word(0, 0, named=(group,)), believe_word(0, 0)
    assert len(with_box.hypotheses) == len(without.hypotheses) + 1
    supports = {each.area_share: each.support for each in with_box.hypotheses}
    assert all(supports[each.area_share] == pytest.approx(each.support) for each in without.hypotheses)


@pytest.mark.parametrize("remembered", [PART, OBJECT, GROUP])
def test_the_mask_of_the_earlier_keyframe_is_preferred(remembered: tuple[slice, slice]) -> None:
    alone = believe(candidates([0.9], remembered))
    assert shown(believe(FOUR, prior=alone, settings=SelectionSettings(agreement=3))) == area_of(remembered)


def test_memory_accumulates_where_evidence_is_equal() -> None:
    first = believe(FOUR)
    second = believe(FOUR, prior=first)
    assert shown(first) == shown(second)
    assert second.probabilities[0] > first.probabilities[0]


def test_memory_moves_with_the_picture() -> None:
    moved = np.full((72, 128, 2), -10, np.float32)  # ten pixels of the grid: all is now farther right and down
    there = (slice(80, 110), slice(80, 120))
    before = believe(candidates([0.9], (slice(60, 90), slice(60, 100))))
    now = candidates([0.9] * 4, there, OBJECT, GROUP, there)
    odds = []
    for displacement in (moved, STILL):
        belief = believe(now, prior=before, displacement=displacement)
        areas = [round(each.area_share * 144 * 256) for each in belief.hypotheses]
        odds.append(belief.probabilities[areas.index(1200)])
    assert odds[0] > 3 * odds[1]


def test_memory_without_motion_is_none() -> None:
    prior = believe(candidates([0.9], PART))
    np.testing.assert_array_equal(
        believe(FOUR, prior=prior, displacement=None).probabilities, believe(FOUR).probabilities
    )


def test_what_the_user_chose_is_followed_while_it_is_offered() -> None:
    first = believe(FOUR)
    for index in range(len(first.hypotheses)):
        chosen = first.choose(index)
        wanted = shown(chosen)
        for _ in range(3):
            chosen = believe(FOUR, prior=chosen)
            assert (shown(chosen), chosen.is_chosen) == (wanted, True)
        assert not believe(candidates([0.9], BESIDE), prior=chosen).is_chosen


def test_probabilities_are_sorted_and_sum_to_one() -> None:
    belief = believe(FOUR, candidates([0.3] * 4, PART, GROUP, FLOOD, BESIDE))
    assert (np.diff(belief.probabilities) <= 0).all()
    assert belief.probabilities.sum() == pytest.approx(1)


@given(st.lists(st.floats(-1e4, 1e4), min_size=2, max_size=9))
def test_confidence_rises_with_evidence_and_is_a_share(evidence: list[float]) -> None:
    found = [calibrate(value) for value in sorted(evidence)]
    assert found == sorted(found)
    assert all(0 <= value <= 1 for value in found)


@example(1.0, 1e-140)
@given(st.floats(0, 1), st.floats(0, 1))
def test_motion_without_trust_lowers_confidence(confidence: float, trust: float) -> None:
    assert 0 <= discount(confidence, trust) <= confidence + 1e-9
    assert discount(confidence, 1.0) == pytest.approx(confidence)
    assert discount(confidence, 0.0) == 0
    assert discount(confidence, trust) <= discount(confidence, min(1.0, trust + 0.1)) + 1e-9


def test_a_doubtful_mask_has_less_confidence() -> None:
    sure, doubtful = believe(*[candidates([0.9] * 4, *[OBJECT] * 4)] * 3), believe(candidates([0.9], BESIDE))
    assert sure.confidence > 0.6 > 0.2 > doubtful.confidence


def test_weights_are_settings() -> None:
    found = [candidates([0.9] * 4, OBJECT, FLOOD, FLOOD, FLOOD)] + [candidates([0.9] * 4, *[FLOOD] * 4)] * 2
    assert shown(believe(*found, settings=SelectionSettings(area=20))) == area_of(FLOOD)
    assert shown(believe(*found, settings=replace(SelectionSettings(), support=0))) == area_of(OBJECT)
