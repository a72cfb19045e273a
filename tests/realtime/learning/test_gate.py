"""The gate by table and property: better than chance on the person's own looks, below on none."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from realtime.learning.gate import CHANCE, TOLERANCE, ChoiceFigures, VisitWorth, compare_worths, judge


def make_figures(ious, groups=None):
    groups = groups or ["one"] * len(ious)
    worths = tuple(VisitWorth(group, f"{k}", iou) for k, (group, iou) in enumerate(zip(groups, ious, strict=True)))
    right = float(np.mean([iou >= 0.5 for iou in ious]))
    return ChoiceFigures(right, float(np.mean(ious)), 1.0, len(ious), worths)


def judge_ious(own, new_own, bundled, new_bundled):
    before = {"own": make_figures(own), "bundled": make_figures(bundled)}
    after = {"own": make_figures(new_own), "bundled": make_figures(new_bundled)}
    return judge(before, after, "own")


MANY = [0.9] * 143 + [0.51]
BETTER = [0.4] * 12, [0.7] * 12


@pytest.mark.parametrize(
    ("own", "bundled", "reason"),
    [
        (BETTER, (MANY, MANY), ""),
        (BETTER, (MANY, [*MANY[:-1], 0.49]), ""),  # one look of 144 is 0.007
        (BETTER, (MANY, [*MANY[:-2], 0.49, 0.49]), "bundled would be right in 0.986 instead of 1.000"),
        (BETTER, (MANY, [iou - 0.009 for iou in MANY[:-1]] + [0.51]), ""),
        (BETTER, (MANY, [iou - 0.012 for iou in MANY[:-1]] + [0.51]), "mean IoU on bundled would be 0.885 instead"),
        (([0.4] * 4, [0.9] * 4), (MANY, MANY), "no better than chance makes it in 0.06 of cases"),
        (([0.4] * 5, [0.9] * 5), (MANY, MANY), ""),
        (([0.4] * 9, [0.9] * 6 + [0.1] * 3), (MANY, MANY), "no better than chance makes it in 0.06 of cases"),
        (([0.4] * 12, [0.4] * 12), (MANY, MANY), "on own it is no better: right in 0.000"),
        # no look less of one's own may be right, however much better the others are
        (([0.5] * 12, [0.49] + [0.95] * 11), (MANY, MANY), "own would be right in 0.917 instead of 1.000"),
        (([0.4] * 12, [0.3] * 6 + [0.49] * 6), (MANY, MANY), "no better"),
    ],
)
def test_what_passes_and_what_does_not(own, bundled, reason):
    verdict = judge_ious(*own, *bundled)
    assert (reason in verdict.reason) if reason else verdict.reason == "", verdict.reason


IOUS = st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=10)


@settings(max_examples=200, deadline=None)
@given(IOUS, IOUS)
def test_whatever_passes_is_below_on_nothing_and_better_than_chance(own, bundled):
    old, new = ([pair[k] for pair in own] for k in (0, 1))
    old_b, new_b = ([pair[k] for pair in bundled] for k in (0, 1))
    verdict = judge_ious(old, new, old_b, new_b)
    if verdict.reason:
        return
    before, after = verdict.before, verdict.after
    assert after["own"].right >= before["own"].right
    assert after["own"].iou > before["own"].iou
    assert compare_worths(before["own"].worths, after["own"].worths) == verdict.chance <= CHANCE
    for measure in ("right", "iou"):
        assert getattr(after["bundled"], measure) >= getattr(before["bundled"], measure) - TOLERANCE - 1e-9


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(0.01, 0.4), min_size=5, max_size=9), st.randoms())
def test_what_is_better_by_chance_alone_passes_no_more_often_than_is_allowed(sizes, random):
    trials = 200
    passed = 0
    for _ in range(trials):
        new = [0.5 + random.choice((-1, 1)) * size for size in sizes]
        passed += judge_ious([0.5] * len(sizes), new, MANY, MANY).reason == ""
    assert passed / trials <= CHANCE + 4 * np.sqrt(CHANCE * (1 - CHANCE) / trials)


def test_looks_of_one_recording_are_one_unit_where_there_are_enough_recordings():
    groups = [f"recording {k % 5}" for k in range(20)]
    old, new = make_figures([0.4] * 20, groups), make_figures([0.6] * 20, groups)
    assert compare_worths(old.worths, new.worths) == pytest.approx(1 / 32)
    groups = [f"recording {k % 4}" for k in range(20)]
    old, new = make_figures([0.4] * 20, groups), make_figures([0.6] * 20, groups)
    assert compare_worths(old.worths, new.worths) < 0.001
    assert compare_worths(new.worths, old.worths) == 1.0


def test_the_verdict_is_written_without_single_looks():
    fields = judge_ious(*BETTER, MANY, MANY).to_fields()
    assert fields["own"]["after"]["iou"] == pytest.approx(0.7)
    assert fields["chance"] == pytest.approx(1 / 4096, abs=1e-4)
    assert "worths" not in fields["own"]["before"]
