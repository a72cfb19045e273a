"""Compares a new choice of masks with the one in force on looks that the new one has not seen. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from realtime.learning.looks import RIGHT_IOU, LabelledLook
from realtime.learning.paired_test import compute_p_value
from realtime.tracking.candidate_ranker import CandidateRanker, Matrix

MIN_LOOKS = 12
"""Fewer answered visits to test with say nothing."""
MIN_GROUPS = 5
"""From so many recordings or pictures on, each is one unit of the test; with fewer, each visit is."""
CHANCE = 0.05
"""How often what is no better in truth may pass as better on the person's own looks."""
TOLERANCE = 0.01
"""By which a figure may be lower where it need not be better: less is not told from nothing."""


@dataclass(frozen=True, slots=True)
class VisitWorth:
    """Holds what the masks chosen in a visit are worth, 0..1. group: as of `LabelledLook`.

    worth: mean IoU with the right mask; where only a dropped one is known, the share that is another one.
    """

    group: str
    visit: str
    worth: float


@dataclass(frozen=True, slots=True)
class ChoiceFigures:
    """Holds how often the chosen mask was right.

    right: share of visits, 0..1; of a dropped mask, that another one is chosen. iou: mean with the right masks.
    best: share for which any hypothesis is right. visits: their number. worths: of each visit.
    """

    right: float
    iou: float
    best: float
    visits: int
    worths: tuple[VisitWorth, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class GateVerdict:
    """Holds the figures before and after by the name of the looks.

    reason: why they are refused; empty where they pass. chance: how often chance alone would make the person's own
    looks so much better, see `compare_worths`.
    """

    before: dict[str, ChoiceFigures]
    after: dict[str, ChoiceFigures]
    reason: str = ""
    chance: float = 1.0

    def to_fields(self) -> dict[str, Any]:
        """Return the figures for an adapter."""
        found: dict[str, Any] = {
            name: {"before": _round(self.before[name]), "after": _round(self.after[name])} for name in self.before
        }
        return found | {"chance": round(self.chance, 4)}

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
    by_visit: dict[tuple[str, str], list[tuple[float, float, float]]] = {}
    for look, score in zip(looks, scores, strict=True):
        overlap = float(look.overlap[int(np.argmax(score))])
        is_dropped = look.answer == "dropped"
        right = (overlap < RIGHT_IOU) if is_dropped else (overlap >= RIGHT_IOU)
        best = bool((look.overlap < RIGHT_IOU).any() if is_dropped else (look.overlap >= RIGHT_IOU).any())
        row = (float(right), np.nan if is_dropped else overlap, float(best))
        by_visit.setdefault((look.group, look.visit), []).append(row)
    rows = np.array([np.mean(found, axis=0) for found in by_visit.values()]).reshape(-1, 3)
    is_known = np.isfinite(rows[:, 1])
    iou = float(rows[is_known, 1].mean()) if is_known.any() else 0.0
    worth = np.where(is_known, rows[:, 1], rows[:, 0]).tolist()
    worths = tuple(VisitWorth(*key, each) for key, each in zip(by_visit, worth, strict=True))
    return ChoiceFigures(float(rows[:, 0].mean()), iou, float(rows[:, 2].mean()), len(rows), worths)


def compare_worths(before: Sequence[VisitWorth], after: Sequence[VisitWorth]) -> float:
    """Compute how often chance alone would make the same visits worth so much more, 0..1.

    Looks of one recording or picture resemble each other, so that each is one unit where there are `MIN_GROUPS`.
    """
    old = {(each.group, each.visit): each.worth for each in before}
    groups = {each.group for each in after}
    gains: dict[str, float] = {}
    for each in after:
        unit = each.group if len(groups) >= MIN_GROUPS else f"{each.group}/{each.visit}"
        gains[unit] = gains.get(unit, 0.0) + each.worth - old[each.group, each.visit]
    return compute_p_value(tuple(gains.values()))


def judge(before: dict[str, ChoiceFigures], after: dict[str, ChoiceFigures], own: str) -> GateVerdict:
    """Judge new figures: better than before on the person's `own` looks, and below on none.

    Better is what chance alone makes in fewer than `CHANCE` of cases, with no fewer right. Below is more than
    `TOLERANCE` less, in the share that is right or in the mean IoU.
    """
    reasons = []
    for name, old in before.items():
        new, allowed = after[name], 0.0 if name == own else TOLERANCE
        if new.right < old.right - allowed - 1e-9:
            reasons.append(f"{name} would be right in {new.right:.3f} instead of {old.right:.3f}")
        elif new.iou < old.iou - TOLERANCE - 1e-9:
            reasons.append(f"the mean IoU on {name} would be {new.iou:.3f} instead of {old.iou:.3f}")
    old, new = before[own], after[own]
    chance = compare_worths(old.worths, new.worths)
    if not reasons and new.right <= old.right + 1e-9 and new.iou <= old.iou + 1e-9:
        reasons.append(f"on {own} it is no better: right in {new.right:.3f}")
    elif not reasons and chance > CHANCE:
        reasons.append(
            f"on {own} it is no better than chance makes it in {chance:.2f} of cases, and {CHANCE:.2f} are allowed: "
            f"right in {new.right:.3f} instead of {old.right:.3f}, mean IoU {new.iou:.3f} instead of {old.iou:.3f}; "
            "learn again with more answers"
        )
    return GateVerdict(before, after, "; ".join(reasons), chance)


def _round(figures: ChoiceFigures) -> dict[str, float]:
    return {name: round(value, 4) for name, value in asdict(figures).items() if name != "worths"}
