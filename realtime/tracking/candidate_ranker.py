"""Scores hypotheses by weights that were learned from looks, in place of those of the settings. Pure.

The text of a ranker is a setting of the run, so that a recording repeats it without the file that it came from.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from realtime.tracking.hypotheses import Hypothesis

FEATURES: dict[str, float] = {
    "stability": 0.1, "support": 0.3, "log_area": 1.0, "runaway": 0.3, "first": 0.4, "whole": 0.4, "gaze": 1.5,
    "fate": 0.2, "predicted_iou": 0.1,
}  # fmt: skip
"""Measures of a hypothesis, each with the spread that it has among the hypotheses of a fixation."""
VERSION = 1
Matrix = NDArray[np.float64]


def measure_features(hypotheses: Sequence[Hypothesis], runaway_area: float) -> Matrix:
    """Measure the (N, F) features of hypotheses, in the order of `FEATURES`.

    runaway_area: as in `SelectionSettings`.
    """
    return np.array(
        [
            (
                each.stability,
                each.support,
                math.log(max(each.area_share, 1e-6)),
                float(each.area_share > runaway_area),
                each.first_share,
                each.whole_share,
                each.gaze_log_ratio,
                each.fate,
                float(np.clip(each.candidates.predicted_iou[each.index], 0.0, 1.0)),
            )
            for each in hypotheses
        ],
        np.float64,
    ).reshape(-1, len(FEATURES))


@dataclass(frozen=True, slots=True)
class CandidateRanker:
    """A linear score of the features; a network beside it was no better on pictures that it had not seen.

    weights: one a feature, natural log-odds. slope, offset: of the logistic map from score to confidence.
    """

    weights: tuple[float, ...]
    slope: float
    offset: float
    version: int = VERSION

    def __post_init__(self) -> None:
        """Raise `ValueError` for another version, shapes that do not fit, or a value that is not finite."""
        if self.version != VERSION:
            raise ValueError(f"a ranker of version {self.version!r:.20}; this program reads {VERSION}")
        if len(self.weights) != len(FEATURES):
            raise ValueError(f"a ranker of {len(self.weights)} weights, not {len(FEATURES)}; learn it again")
        numbers = [*self.weights, self.slope, self.offset]
        if not all(type(value) in (int, float) and math.isfinite(value) for value in numbers):
            raise ValueError("a ranker whose weights are not finite numbers; learn it again")

    def score(self, features: Matrix) -> Matrix:
        """Score (..., F) features: natural log-odds, (...)."""
        return np.asarray(features @ np.array(self.weights, np.float64), np.float64)

    def to_text(self) -> str:
        """Write it as a setting."""
        return json.dumps(asdict(self), separators=(",", ":"))


@lru_cache(maxsize=8)
def read_ranker(text: str) -> CandidateRanker:
    """Read the setting that `CandidateRanker.to_text` wrote; raises `ValueError`."""
    try:
        fields: dict[str, Any] = json.loads(text)
        return CandidateRanker(tuple(fields.pop("weights")), **fields)
    except json.JSONDecodeError as error:
        raise ValueError(f"a ranker that is not JSON: {error}") from None
    except (TypeError, KeyError, AttributeError, RecursionError, OverflowError) as error:
        raise ValueError(f"a ranker that cannot be read: {error}") from None


def spreads() -> Matrix:
    """Return the (F,) spreads of the features."""
    return np.array(tuple(FEATURES.values()))
