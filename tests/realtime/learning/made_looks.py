"""Makes looks whose right hypothesis is known, without an engine."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from realtime.learning.looks import Answer, FixationChoice, LabelledLook
from realtime.tracking.candidate_ranker import FEATURES, spreads

NAMES = tuple(FEATURES)


def make_looks(
    count: int, seed: int, *, helpful: str, misleading: str = "", groups: int = 12, answer: Answer = "corrected"
) -> list[LabelledLook]:
    """Make looks at four hypotheses: a feature is high for the right one, another for a wrong one."""
    rng = np.random.default_rng(seed)
    return [_make_look(rng, k, helpful, misleading, groups, answer) for k in range(count)]


def _make_look(
    rng: np.random.Generator, number: int, helpful: str, misleading: str, groups: int, answer: Answer
) -> LabelledLook:
    features = rng.normal(0, 0.3, (4, len(FEATURES)))
    right = int(rng.integers(4))
    features[right, NAMES.index(helpful)] += 2.0
    if misleading:
        features[(right + 1) % 4, NAMES.index(misleading)] += 2.0
    overlap = np.full(4, 0.2, np.float32)
    overlap[right] = 0.9
    masks = np.zeros((4, 6, 8), np.bool_)
    for k in range(4):
        masks[k, :, 2 * k : 2 * k + 2] = True
    group = f"group {number % groups}"
    choice = FixationChoice(features * spreads(), masks, f"{group}/{number}", number + 1)
    return LabelledLook(choice, overlap, answer, group, f"{group}/{number}", masks[right])


def with_group(looks: Sequence[LabelledLook], name: str) -> list[LabelledLook]:
    """Put looks into one group."""
    return [LabelledLook(each.choice, each.overlap, each.answer, name, each.visit, each.right) for each in looks]
