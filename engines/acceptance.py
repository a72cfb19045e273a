"""Defines the acceptance thresholds of engines by precision, with their reasons."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from engines.base import EngineError

if TYPE_CHECKING:
    from engines.reference import EngineComparison


class AcceptanceRefused(EngineError):
    """An error that reports that an engine's masks differ too much from the reference's; the engine was deleted."""


@dataclass(frozen=True, slots=True)
class AcceptanceThreshold:
    """Holds the limits that an engine must keep.

    best, chosen: least mean IoU, see `EngineComparison`. score_error: greatest. points: fewest that are significant.
    """

    best: float
    chosen: float
    score_error: float
    points: int = 12


THRESHOLDS = {
    "f32": AcceptanceThreshold(best=0.98, chosen=0.95, score_error=0.015),
    "bf16": AcceptanceThreshold(best=0.96, chosen=0.92, score_error=0.02),
    "f16": AcceptanceThreshold(best=0.96, chosen=0.92, score_error=0.02),
    "int8": AcceptanceThreshold(best=0.94, chosen=0.88, score_error=0.04),
    "fp8": AcceptanceThreshold(best=0.94, chosen=0.88, score_error=0.04),
}
"""By precision.

The error of f32 comes from the constants that replace the padding. bfloat16 adds an error of 1 % to the embedding,
which float16 must not exceed, and int8 about 5 %, as 8-bit floats may; all are far below an error that moves a mask's
edge. A mask that flips between a whole and its part costs its IoU entirely, so `chosen`, the mask that a user would
see, is looser than `best`. The score decides among the candidates: an error of 0.04 is the typical distance between
the best two.
"""


def assess_comparison(comparison: EngineComparison, precision: str) -> dict[str, Any]:
    """Compare the figures with the thresholds of a precision.

    Returns the figures for a note, with `passed` and, where it is false, the reasons as `why`.
    """
    wanted = THRESHOLDS[precision]
    # Written so that a nan, from no points at all, fails.
    points, best, chosen, error = comparison.points, comparison.best, comparison.chosen, comparison.score_error
    checks = (
        (points >= wanted.points, f"{points} points, at least {wanted.points} needed"),
        (best >= wanted.best, f"best-of-four IoU {best:.3f} below {wanted.best}"),
        (chosen >= wanted.chosen, f"chosen mask's IoU {chosen:.3f} below {wanted.chosen}"),
        (error <= wanted.score_error, f"score error {error:.3f} above {wanted.score_error}"),
    )
    failures = [text for is_passed, text in checks if not is_passed]
    figures = {name: round(value, 4) for name, value in asdict(comparison).items()}
    return {"precision": precision, **figures, "passed": not failures, "why": "; ".join(failures)}
