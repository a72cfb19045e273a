"""Measures accuracy, precision, data loss and bias of gaze on validation targets. Pure.

Definitions follow Holmqvist et al., Eye tracker data quality, ETRA 2012; limits are for choosing objects by gaze.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import msgspec
import numpy as np

from calibration.errors import CalibrationError
from calibration.gaze.matching import GazePairs, compute_discarded_share, find_outliers
from calibration.gaze.view import FieldView
from calibration.lens import Floats

Verdict = Literal["pass", "warn", "refuse"]

PASS_DEG, PASS_WORST_DEG, WARN_DEG = 1.5, 3.0, 2.5
MIN_CHECKS = 3
MAX_LOSS = 0.2
_BCEA_SHARE = 0.68
_MAX_SAMPLE_GAP_S = 0.1


class QualityError(CalibrationError):
    """An error for validation data without a usable target."""


@dataclass(frozen=True, slots=True)
class TargetQuality:
    """Holds one target's quality, degrees.

    place_deg: its position. offset_deg: mean of gaze minus target, x right, y down. accuracy_deg: mean angle between
    them. precision_deg: root mean square of the angles between successive samples. bcea_deg2: area of the ellipse
    that holds 68 % of the samples. samples, strays: number of samples and of outliers.
    """

    name: str
    place_deg: tuple[float, float]
    offset_deg: tuple[float, float]
    accuracy_deg: float
    precision_deg: float
    bcea_deg2: float
    samples: int
    strays: int


@dataclass(frozen=True, slots=True)
class GazeValidation:
    """Holds the quality over all targets; means of the fields of `TargetQuality`.

    bias_deg: the mean offset. loss: share of low-confidence samples. rate_hz: of the samples, on which the precision
    depends. median_deg, p95_deg: over all samples.
    """

    targets: tuple[TargetQuality, ...]
    accuracy_deg: float
    precision_deg: float
    bcea_deg2: float
    bias_deg: tuple[float, float]
    loss: float
    rate_hz: float
    median_deg: float
    p95_deg: float

    @property
    def worst(self) -> TargetQuality:
        """The target with the largest error."""
        return max(self.targets, key=lambda target: target.accuracy_deg)

    @property
    def verdict(self) -> Verdict:
        """Pass up to 1.5 degrees with no target beyond 3, warn up to 2.5, else fail."""
        return self._assess()[0]

    @property
    def reason(self) -> str:
        """The reason for the verdict, one sentence."""
        return self._assess()[1]

    def _assess(self) -> tuple[Verdict, str]:
        if len(self.targets) < MIN_CHECKS:
            return "refuse", f"only {len(self.targets)} of the other targets could be judged; {MIN_CHECKS} are needed"
        summary = f"{self.accuracy_deg:.2f} degrees off on {len(self.targets)} other targets"
        if self.accuracy_deg > WARN_DEG:
            return "refuse", f"{summary}; more than {WARN_DEG:g} is of no use"
        if self.accuracy_deg > PASS_DEG:
            return "warn", f"{summary}; {PASS_DEG:g} is good"
        if self.worst.accuracy_deg > PASS_WORST_DEG:
            return "warn", f"{summary}, but {self.worst.accuracy_deg:.1f} at {self.worst.name}"
        if self.loss > MAX_LOSS:
            return "warn", f"{summary}, but {self.loss:.0%} of the samples were lost"
        return "pass", summary

    def to_dict(self) -> dict[str, Any]:
        """Convert it to JSON values."""
        return asdict(self) | {"verdict": self.verdict}

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> GazeValidation:
        """Parse the result of `to_dict`; raises `QualityError`."""
        try:
            validation = msgspec.convert(fields, cls)
        except msgspec.ValidationError as error:
            raise QualityError(f"this is no validation: {error!s:.80}") from None
        if not np.isfinite(np.hstack([getattr(validation, name) for name in cls.__slots__ if name != "targets"])).all():
            raise QualityError("this is no validation: its numbers are not finite")
        return validation


def validate_gaze(pairs: Sequence[GazePairs], view: FieldView, correct: Callable[[Floats], Floats]) -> GazeValidation:
    """Measure the quality at targets; `correct` maps (N, 2) reported degrees.

    Raises `QualityError` where no target has enough samples.
    """
    usable = [p for p in pairs if p.is_usable]
    if not usable:
        raise QualityError("none of the other targets was looked at long enough, with confidence, to judge")
    measured = [_measure_target(p, view, correct) for p in usable]
    targets = tuple(quality for quality, _ in measured)
    errors = np.concatenate([each for _, each in measured])
    steps = np.concatenate([np.diff(p.time_s) for p in usable])
    steps = steps[(steps > 0) & (steps < _MAX_SAMPLE_GAP_S)]
    bias = np.mean([target.offset_deg for target in targets], axis=0)
    return GazeValidation(
        targets=targets,
        accuracy_deg=float(np.mean([t.accuracy_deg for t in targets])),
        precision_deg=float(np.mean([t.precision_deg for t in targets])),
        bcea_deg2=float(np.mean([t.bcea_deg2 for t in targets])),
        bias_deg=(float(bias[0]), float(bias[1])),
        loss=compute_discarded_share(pairs),
        rate_hz=float(1 / np.median(steps)) if len(steps) else 0.0,
        median_deg=float(np.median(errors)),
        p95_deg=float(np.percentile(errors, 95)),
    )


def _measure_target(
    pairs: GazePairs, view: FieldView, correct: Callable[[Floats], Floats]
) -> tuple[TargetQuality, Floats]:
    """Measure one target, and the (K,) errors of its accepted samples."""
    gaze, target = correct(view.to_degrees(pairs.gaze_px)), view.to_degrees(pairs.target_px)
    is_outlier = find_outliers(gaze - target)
    gaze, target, time_s = gaze[~is_outlier], target[~is_outlier], pairs.time_s[~is_outlier]
    errors, offset = view.angles_between_deg(gaze, target), gaze - target
    mean = offset.mean(0)
    # The target may move in the picture, with the head: only gaze relative to it is imprecision.
    fixation = target[:1] + offset
    is_successive = np.diff(time_s) < _MAX_SAMPLE_GAP_S
    steps = view.angles_between_deg(fixation[1:], fixation[:-1])[is_successive]
    target_place = np.median(target, axis=0)
    quality = TargetQuality(
        pairs.name,
        (float(target_place[0]), float(target_place[1])),
        (float(mean[0]), float(mean[1])),
        float(errors.mean()),
        float(np.sqrt((steps**2).mean())) if len(steps) else 0.0,
        compute_bcea(offset),
        len(errors),
        int(is_outlier.sum()),
    )
    return quality, errors


def compute_bcea(points: Floats) -> float:
    """Compute the bivariate contour ellipse area of (K, 2) points, which holds 68 % of a Gaussian."""
    if len(points) < 3:
        return 0.0
    k = -math.log(1 - _BCEA_SHARE)
    return float(2 * math.pi * k * math.sqrt(max(float(np.linalg.det(np.cov(points.T))), 0.0)))
