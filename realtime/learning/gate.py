"""Compares a new choice of masks with the one in force on looks that the new one has not seen. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from realtime.learning.looks import RIGHT_IOU, LabelledLook
from realtime.tracking.candidate_ranker import CandidateRanker, Matrix

MIN_LOOKS = 12
"""Fewer answered visits to test with say nothing."""
IOU_TOLERANCE = 0.01
"""By which the mean IoU may be lower where as many masks are right."""


@dataclass(frozen=True, slots=True)
class ChoiceFigures:
    """Holds how often the chosen mask was right.

    right: share of visits, 0..1; of a dropped mask, that another one is chosen. iou: mean with the right masks.
    best: share for which any hypothesis is right. visits: their number.
    """

    right: float
    iou: float
    best: float
    visits: int


@dataclass(frozen=True, slots=True)
class GateVerdict:
    """Holds the figures before and after by the name of the looks, and why they are refused; empty where they pass."""

    before: dict[str, ChoiceFigures]
    after: dict[str, ChoiceFigures]
    reason: str = ""

    def to_fields(self) -> dict[str, Any]:
        """Return the figures for an adapter."""
        return {name: {"before": _round(self.before[name]), "after": _round(self.after[name])} for name in self.before}

    def describe(self) -> list[str]:
        """Describe the figures in a line for each set of looks."""
        return [
            f"{name}: right {old.right:.3f} -> {self.after[name].right:.3f}, mean IoU {old.iou:.3f} -> "
            f"{self.after[name].iou:.3f} ({old.visits} visits; one of the candidates is right in {old.best:.3f})"
            for name, old in self.before.items()
        ]


def score_looks(looks: Sequence[LabelledLook], ranker: CandidateRanker) -> list[Matrix]:
    """Score the hypotheses of every look."""
    return [ranker.score(look.choice.features) for look in looks]


def measure_choice(looks: Sequence[LabelledLook], scores: Sequence[Matrix]) -> ChoiceFigures:
    """Measure the choice that scores make, by visit."""
    by_visit: dict[str, list[tuple[float, float, float]]] = {}
    for look, score in zip(looks, scores, strict=True):
        overlap = float(look.overlap[int(np.argmax(score))])
        is_dropped = look.answer == "dropped"
        right = (overlap < RIGHT_IOU) if is_dropped else (overlap >= RIGHT_IOU)
        best = bool((look.overlap < RIGHT_IOU).any() if is_dropped else (look.overlap >= RIGHT_IOU).any())
        by_visit.setdefault(look.visit, []).append((float(right), np.nan if is_dropped else overlap, float(best)))
    rows = np.array([np.mean(found, axis=0) for found in by_visit.values()]).reshape(-1, 3)
    known = rows[np.isfinite(rows[:, 1]), 1]
    iou = float(known.mean()) if len(known) else 0.0
    return ChoiceFigures(float(rows[:, 0].mean()), iou, float(rows[:, 2].mean()), len(rows))


def judge(before: dict[str, ChoiceFigures], after: dict[str, ChoiceFigures], own: str) -> GateVerdict:
    """Judge new figures: never below the old ones on any looks, and better on the person's `own`."""
    reasons = []
    for name, old in before.items():
        new = after[name]
        if new.right < old.right - 1e-9:
            reasons.append(f"{name} would be right in {new.right:.3f} instead of {old.right:.3f}")
        elif new.iou < old.iou - IOU_TOLERANCE:
            reasons.append(f"the mean IoU on {name} would be {new.iou:.3f} instead of {old.iou:.3f}")
    old, new = before[own], after[own]
    if not reasons and new.right <= old.right + 1e-9 and new.iou <= old.iou + 1e-9:
        reasons.append(f"on {own} it is no better: right in {new.right:.3f}")
    return GateVerdict(before, after, "; ".join(reasons))


def _round(figures: ChoiceFigures) -> dict[str, float]:
    return {name: round(value, 4) for name, value in asdict(figures).items()}
