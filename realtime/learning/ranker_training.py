"""Trains a ranker on labelled looks, beginning with the rule in force, and tests it on looks that it has not seen.

The loss of a look is -log of the reward that is expected when a hypothesis is drawn by the posterior: a right mask
need not be the only one, and of a dropped mask it is enough that it was wrong. Adam with a penalty for leaving the
rule; looks that were held out decide when to stop (Prechelt, "Early Stopping - But When?", 1998).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from engines.tuning.weight_shares import MAX_LOSS, list_kept_shares
from realtime.learning.gate import measure_choice, score_looks
from realtime.learning.looks import RIGHT_IOU, LabelledLook, hash_texts
from realtime.tracking.candidate_ranker import FEATURES, CandidateRanker, Matrix, spreads

FOLDS = 5
PRIOR_LOOKS = 10.0
"""Looks that the calibration in force counts as."""
NEWTON_STEPS = 30
MIN_SLOPE = 0.05
"""Of confidence over score: a better score never means less confidence."""
Steps = Callable[[int, int], bool]
"""Receives the completed steps and all; returns False to stop with what is best so far."""


@dataclass(frozen=True, slots=True)
class TrainingSettings:
    """Settings of the training.

    stay: penalty for leaving the rule, worth so many looks for
    each weight that moves by a spread. rate: of Adam. steps: at most. patience: steps without a better loss on
    held-out looks after which it stops.
    """

    stay: float = 5.0
    rate: float = 0.02
    steps: int = 600
    patience: int = 60


@dataclass(frozen=True, slots=True, eq=False)
class LookTable:
    """Looks as arrays, padded to the greatest number of hypotheses.

    features: (L, N, F). reward, overlap: (L, N). is_real: (L, N), False for padding. weights: (L,), 1 for all looks of
    a visit together.
    """

    features: Matrix = field(repr=False)
    reward: Matrix = field(repr=False)
    is_real: NDArray[np.bool_] = field(repr=False)
    weights: Matrix = field(repr=False)

    @classmethod
    def of(cls, looks: Sequence[LabelledLook]) -> LookTable:
        """Make a table of at least one look."""
        count = max(len(look.overlap) for look in looks)
        features, reward = np.zeros((len(looks), count, len(FEATURES))), np.zeros((len(looks), count))
        is_real = np.zeros((len(looks), count), np.bool_)
        visits = [look.visit for look in looks]
        for row, look in enumerate(looks):
            size = len(look.overlap)
            features[row, :size], reward[row, :size], is_real[row, :size] = look.choice.features, look.reward, True
        weights = np.array([1 / visits.count(visit) for visit in visits])
        return cls(features, reward, is_real, weights * (reward.max(1) > 0))  # none right: nothing to choose


def compute_loss(vector: Matrix, table: LookTable) -> tuple[float, Matrix]:
    """Compute the weighted mean loss of looks, and its gradient, by (F,) weights in units of the features' spreads."""
    z = table.features / spreads()
    scores = np.where(table.is_real, z @ vector, -np.inf)
    odds = np.exp(scores - scores.max(1, keepdims=True))
    posterior = odds / odds.sum(1, keepdims=True)
    gain = posterior * table.reward
    expected = np.maximum(gain.sum(1, keepdims=True), 1e-12)
    weights = table.weights / max(table.weights.sum(), 1e-12)
    value = float(-(weights * np.log(expected[:, 0] / np.maximum(table.reward.max(1), 1e-12))).sum())
    slope = (posterior - gain / expected) * weights[:, None]  # (L, N): of the loss by each score
    return value, np.einsum("ln,lnf->f", slope, z)


def train_ranker(
    train: LookTable,
    stop: LookTable | None,
    start: CandidateRanker,
    settings: TrainingSettings,
    on_step: Steps = lambda done, total: True,
) -> tuple[CandidateRanker, int]:
    """Train until the held-out looks of `stop` get no better, and return the best ranker with its number of steps.

    stop: None trains for all steps of the settings.
    """
    first = np.array(start.weights) * spreads()
    vector, best, best_loss, best_step = first, first, math.inf, 0
    mean, square = np.zeros_like(first), np.zeros_like(first)
    stay = settings.stay / max(float(train.weights.sum()), 1e-12)
    for step in range(settings.steps + 1):
        held_out = compute_loss(vector, stop)[0] if stop is not None else -float(step)
        if held_out < best_loss - 1e-9:
            best, best_loss, best_step = vector, held_out, step
        if step - best_step > settings.patience or not on_step(step, settings.steps):
            break
        gradient = compute_loss(vector, train)[1] + stay * (vector - first)
        mean, square = 0.9 * mean + 0.1 * gradient, 0.999 * square + 0.001 * gradient**2
        unbiased = mean / (1 - 0.9 ** (step + 1)), square / (1 - 0.999 ** (step + 1))
        vector = vector - settings.rate * unbiased[0] / (np.sqrt(unbiased[1]) + 1e-8)
    return replace(start, weights=tuple((best / spreads()).tolist())), best_step


def divide_looks(looks: Sequence[LabelledLook], folds: int = FOLDS) -> NDArray[np.int64]:
    """Divide looks into folds, (L,): by recording or picture where there are enough, else by object.

    No two looks of one such group are in different folds, whatever they are called: a group is named by its content.
    """
    keys = [look.group for look in looks]
    if len(set(keys)) < folds:
        keys = [look.visit for look in looks]
    ranks = {key: k for k, key in enumerate(sorted(set(keys), key=lambda key: hash_texts([key])))}
    return np.array([ranks[key] % folds for key in keys], np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class RankerTraining:
    """Holds a ranker that was trained on all looks, and how rankers did on looks that they had not seen.

    unseen: for each look, the scores of its hypotheses by a ranker that was trained without its group.
    is_complete: False where the training was stopped early. share: of what was learned that is in the ranker.
    """

    ranker: CandidateRanker
    unseen: tuple[Matrix, ...] = field(repr=False)
    steps: int
    is_complete: bool
    share: float = 1.0


def cross_validate(
    looks: Sequence[LabelledLook],
    start: CandidateRanker,
    settings: TrainingSettings,
    on_step: Steps = lambda done, total: True,
    others: Sequence[LabelledLook] = (),
) -> RankerTraining | None:
    """Train once without each fold, and then on all looks for as many steps; None where it was stopped before the last.

    A ranker is tested on one fold, stopped by another and trained on the rest. others: of other pictures, on which no
    ranker may lose, see `keep_others`.
    """
    fold_of, is_stopped = divide_looks(looks), False
    folds = int(fold_of.max()) + 1
    unseen: list[Matrix] = [np.zeros(0)] * len(looks)
    steps: list[int] = []
    total = (folds + 1) * settings.steps

    def watch(done: int, _: int) -> bool:
        nonlocal is_stopped
        is_stopped = is_stopped or not on_step(len(steps) * settings.steps + done, total)
        return not is_stopped

    for fold in range(folds):
        stop = (fold + 1) % folds
        is_test, is_stop = (fold_of == fold).tolist(), (fold_of == stop).tolist()
        rest = [look for look, a, b in zip(looks, is_test, is_stop, strict=True) if not (a or b)]
        held_out = [look for look, is_held_out in zip(looks, is_stop, strict=True) if is_held_out]
        ranker, count = train_ranker(LookTable.of(rest), LookTable.of(held_out), start, settings, watch)
        if is_stopped:
            return None
        steps.append(count)
        ranker, _ = keep_others(ranker, start, others)
        for k in np.flatnonzero(fold_of == fold).tolist():
            unseen[k] = ranker.score(looks[k].choice.features)
    needed = int(np.median(steps))
    final, done = train_ranker(LookTable.of(looks), None, start, replace(settings, steps=needed), watch)
    final, share = keep_others(final, start, others)
    return RankerTraining(final, tuple(unseen), done, not is_stopped, share)


def keep_others(
    ranker: CandidateRanker, start: CandidateRanker, others: Sequence[LabelledLook]
) -> tuple[CandidateRanker, float]:
    """Move only so far from the first ranker to a learned one that others lose nothing; returns the share, too.

    Neither the share of others that is right nor their mean IoU may fall by more than `MAX_LOSS`, see
    `list_kept_shares`. Without others, all is taken.
    """
    if not others:
        return ranker, 1.0
    first, learned = np.array(start.weights), np.array(ranker.weights)
    before = measure_choice(others, score_looks(others, start))

    def move(share: float) -> CandidateRanker:
        return replace(ranker, weights=tuple((first + share * (learned - first)).tolist()))

    def is_kept(share: float) -> bool:
        after = measure_choice(others, score_looks(others, move(share)))
        return min(after.right - before.right, after.iou - before.iou) >= -MAX_LOSS - 1e-9

    share = max(list_kept_shares(is_kept), default=0.0)
    return move(share), share


def calibrate_ranker(
    ranker: CandidateRanker, looks: Sequence[LabelledLook], scores: Sequence[Matrix]
) -> CandidateRanker:
    """Fit the logistic map from the chosen hypothesis's score to the share that is right (Platt, 1999).

    scores: of rankers that had not seen these looks. The map in force counts as `PRIOR_LOOKS` looks; a steeper score
    alone must not make the ranker more confident.
    """
    rows: list[tuple[float, float]] = []
    for look, score in zip(looks, scores, strict=True):
        overlap = float(look.overlap[int(np.argmax(score))])
        if look.answer != "dropped" or overlap >= RIGHT_IOU:  # of another mask than the dropped one nothing is known
            rows.append((float(score.max()), float(overlap >= RIGHT_IOU and look.answer != "dropped")))
    if not rows:
        return ranker
    score, right = np.array(rows).T
    weight = 1 / (1 + np.exp(-(ranker.slope * score + ranker.offset)))  # what the map in force expects
    share = PRIOR_LOOKS / len(rows)
    wanted = (right + share * weight) / (1 + share)
    middle, inputs = float(score.mean()), np.column_stack([score - score.mean(), np.ones(len(rows))])
    found = np.array([ranker.slope, ranker.offset + ranker.slope * middle])
    for _ in range(NEWTON_STEPS):
        expected = 1 / (1 + np.exp(-inputs @ found))
        curvature = (inputs * (expected * (1 - expected))[:, None]).T @ inputs + 1e-6 * np.eye(2)
        found = found + np.clip(np.linalg.solve(curvature, inputs.T @ (wanted - expected)), -1, 1)
    slope = max(float(found[0]), MIN_SLOPE)
    return replace(ranker, slope=slope, offset=float(found[1]) - slope * middle)
