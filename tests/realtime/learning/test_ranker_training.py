from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engines.tuning.weight_shares import MAX_LOSS, SHARES, list_kept_shares
from realtime.learning.gate import judge, measure_choice, score_looks
from realtime.learning.looks import LabelledLook, load_choices, save_choices
from realtime.learning.ranker_training import (
    LookTable,
    TrainingSettings,
    calibrate_ranker,
    compute_loss,
    cross_validate,
    divide_looks,
    train_ranker,
)
from realtime.tracking.candidate_ranker import FEATURES
from realtime.tracking.mask_selection import SelectionSettings, make_ranker
from tests.realtime.learning.made_looks import NAMES, make_looks, with_group

RULE = make_ranker(SelectionSettings())
MISLED = {"helpful": "predicted_iou", "misleading": "stability"}
"""The rule looks at stability and not at the predicted IoU."""


def right(looks, ranker):
    return measure_choice(looks, score_looks(looks, ranker)).right


def test_training_gets_better_on_looks_that_it_has_not_seen():
    looks, others = make_looks(60, 1, **MISLED), make_looks(60, 2, **MISLED)
    training = cross_validate(looks, RULE, TrainingSettings(steps=200, rate=0.1))
    assert training.is_complete
    assert right(others, RULE) < 0.5
    assert right(others, training.ranker) > 0.9
    assert measure_choice(looks, training.unseen).right > 0.9


def test_nothing_is_learned_where_the_rule_is_right_already():
    looks = make_looks(40, 3, helpful="stability")
    training = cross_validate(looks, RULE, TrainingSettings(steps=40))
    assert measure_choice(looks, training.unseen).right >= right(looks, RULE)


def test_a_dropped_mask_only_says_that_another_one_is_meant():
    looks = make_looks(40, 4, helpful="gaze")
    dropped = [
        replace(look, overlap=np.where(np.arange(4) == int(np.argmax(look.overlap)), 1.0, 0.1).astype(np.float32),
                answer="dropped") for look in looks
    ]  # fmt: skip
    ranker, _ = train_ranker(LookTable.of(dropped), None, RULE, TrainingSettings(steps=200, rate=0.1, stay=0.1))
    assert right(dropped, RULE) < 0.4
    assert right(dropped, ranker) > 0.8


def test_the_gradient_is_that_of_the_loss():
    table = LookTable.of(make_looks(5, 5, **MISLED))
    vector = np.random.default_rng(6).normal(0, 0.5, len(FEATURES))
    _, gradient = compute_loss(vector, table)
    for k in range(len(FEATURES)):
        step = np.zeros(len(FEATURES))
        step[k] = 1e-5
        slope = (compute_loss(vector + step, table)[0] - compute_loss(vector - step, table)[0]) / 2e-5
        assert gradient[k] == pytest.approx(slope, abs=1e-6)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 30), st.integers(5, 40))
def test_no_group_is_divided_between_training_and_test(groups, count):
    looks = make_looks(count, 7, helpful="stability", groups=groups)
    fold_of = divide_looks(looks)
    keys = [look.group for look in looks] if len({look.group for look in looks}) >= 5 else [x.visit for x in looks]
    for key in set(keys):
        assert len({int(fold) for fold, each in zip(fold_of, keys, strict=True) if each == key}) == 1


def test_a_second_copy_of_a_recording_leaks_nothing():
    """What helps in one recording only is not held to help where its copy is tested."""
    groups = [with_group(make_looks(6, 20 + k, helpful=NAMES[k % 9]), f"recording {k}") for k in range(6)]
    looks = [look for group in groups for look in group]
    renamed = [replace(look, visit=f"{look.visit} copy") for look in looks]  # the same content is the same group
    alone = cross_validate(looks, RULE, TrainingSettings(steps=60))
    twice = cross_validate([*looks, *renamed], RULE, TrainingSettings(steps=60))
    fold_of = divide_looks([*looks, *renamed])
    assert (fold_of[: len(looks)] == fold_of[len(looks) :]).all()
    gain = measure_choice(looks, twice.unseen[: len(looks)]).right - measure_choice(looks, alone.unseen).right
    assert abs(gain) < 0.1


def test_a_ranker_moves_only_as_far_as_others_keep_their_masks():
    looks, others = make_looks(60, 10, **MISLED), make_looks(80, 11, helpful="stability", misleading="predicted_iou")
    settings = TrainingSettings(steps=300, rate=0.1, stay=0.1)
    free, kept = (cross_validate(looks, RULE, settings, others=each) for each in ((), others))
    assert (free.share, free.ranker) != (kept.share, kept.ranker)
    assert right(others, free.ranker) < right(others, RULE) - 0.1
    assert right(others, kept.ranker) >= right(others, RULE) - MAX_LOSS - 1e-9
    first, learned, moved = (np.array(each.weights) for each in (RULE, free.ranker, kept.ranker))
    assert moved == pytest.approx(first + kept.share * (learned - first))
    assert measure_choice(looks, kept.unseen).right < measure_choice(looks, free.unseen).right, "each fold is limited"


@pytest.mark.parametrize(("kept", "shares"), [((), ()), (SHARES, SHARES), (SHARES[1:], ()), (SHARES[:2], SHARES[:2])])
def test_no_share_above_the_first_that_loses_is_taken(kept, shares):
    assert tuple(list_kept_shares(kept.__contains__)) == shares


def test_the_gate_refuses_what_is_forgotten():
    own, bundled = make_looks(40, 8, **MISLED), make_looks(40, 9, helpful="stability", misleading="predicted_iou")
    ranker = cross_validate(own, RULE, TrainingSettings(steps=300, rate=0.1, stay=0.1)).ranker
    sets = {"own": own, "bundled": bundled}
    before = {name: measure_choice(looks, score_looks(looks, RULE)) for name, looks in sets.items()}
    after = {name: measure_choice(looks, score_looks(looks, ranker)) for name, looks in sets.items()}
    assert after["own"].right > before["own"].right
    verdict = judge(before, after, "own")
    assert "bundled would be right in" in verdict.reason
    assert judge(before, {**after, "bundled": before["bundled"]}, "own").reason == ""
    assert "no better" in judge(before, before, "own").reason


def test_a_stop_keeps_the_best_of_the_last_training_or_nothing():
    looks, calls = make_looks(30, 10, **MISLED), []
    chosen = TrainingSettings(steps=50)

    def stop_after(count):
        def on_step(done, total):
            calls.append(done)
            return len(calls) <= count

        return on_step

    assert cross_validate(looks, RULE, chosen, stop_after(3)) is None
    calls.clear()
    whole = cross_validate(looks, RULE, chosen, lambda done, total: calls.append(done) or True)
    count = len(calls)
    calls.clear()
    stopped = cross_validate(looks, RULE, chosen, stop_after(count - 5))
    assert whole.is_complete
    assert not stopped.is_complete
    assert stopped.steps < whole.steps


def test_confidence_follows_the_share_that_is_right():
    looks = make_looks(200, 11, helpful="stability")
    wrong = [LabelledLook(x.choice, np.roll(x.overlap, 1), x.answer, x.group, x.visit) for x in looks[:150]]
    mixed = [*wrong, *looks[150:]]
    ranker = calibrate_ranker(RULE, mixed, score_looks(mixed, RULE))
    tops = np.array([score.max() for score in score_looks(mixed, RULE)])
    expected = 1 / (1 + np.exp(-(ranker.slope * tops + ranker.offset)))
    assert expected.mean() == pytest.approx(measure_choice(mixed, score_looks(mixed, RULE)).right, abs=0.05)


def test_choices_are_read_as_they_were_written(tmp_path):
    choices = [look.choice for look in make_looks(3, 12, helpful="fate")]
    choices[1] = replace(choices[1], picture=b"\xff\xd8 no picture", is_chosen=True, at_ns=1 << 60)
    file = tmp_path / "looks" / "a.npz"
    save_choices(file, choices)
    for before, after in zip(choices, load_choices(file), strict=True):
        assert before.features.tobytes() == after.features.tobytes()
        assert (before.masks == after.masks).all()
        assert (before.place, before.object, before.at_ns, before.is_chosen, before.picture) == (
            after.place, after.object, after.at_ns, after.is_chosen, after.picture,
        )  # fmt: skip
    save_choices(file, [])
    assert load_choices(file) == []
    file.write_bytes(file.read_bytes()[:40])
    assert load_choices(file) is None
    assert load_choices(tmp_path / "none.npz") is None


def test_every_feature_has_a_spread():
    assert all(spread > 0 for spread in FEATURES.values())
    assert len(RULE.weights) == len(FEATURES)
