from dataclasses import dataclass

import numpy as np
import pytest

from engines.acceptance import THRESHOLDS, assess_comparison


@dataclass(frozen=True)
class Found:
    """Holds the fields of an `EngineComparison`, which needs torch."""

    best: float = 0.99
    chosen: float = 0.99
    score_error: float = 0.001
    embedding_error: float = 0.01
    points: int = 40


@pytest.mark.parametrize("precision", THRESHOLDS)
def test_a_good_engine_passes(precision):
    verdict = assess_comparison(Found(), precision)
    assert verdict["passed"]
    assert verdict["why"] == ""


@pytest.mark.parametrize("precision", THRESHOLDS)
@pytest.mark.parametrize(
    ("found", "why"),
    [
        (Found(best=0.93), "best-of-four"),
        (Found(chosen=0.87), "chosen"),
        (Found(score_error=0.05), "score error"),
        (Found(points=5), "5 points"),
        (Found(best=float("nan")), "best-of-four"),
        (Found(score_error=float("nan")), "score error"),
    ],
)
def test_a_bad_one_is_refused_with_the_reason(precision, found, why):
    verdict = assess_comparison(found, precision)
    assert not verdict["passed"]
    assert why in verdict["why"]


def test_thresholds_loosen_with_the_precision_but_stay_within_the_requirement():
    f32, bf16, int8 = (THRESHOLDS[name] for name in ("f32", "bf16", "int8"))
    assert f32.best >= bf16.best >= 0.96
    assert bf16.chosen >= 0.92
    assert int8.best >= 0.94


def test_the_comparison_sees_a_shifted_mask():
    pytest.importorskip("torch")
    from engines.reference import iou

    mask = np.zeros((20, 20), bool)
    mask[5:15, 5:15] = True
    assert iou(mask, mask) == 1
    assert iou(mask, np.roll(mask, 2, 0)) == pytest.approx(80 / 120)
    assert iou(np.zeros_like(mask), np.zeros_like(mask)) == 1
