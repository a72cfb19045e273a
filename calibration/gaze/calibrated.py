"""Fits, stores and applies a gaze calibration. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from calibration.errors import CalibrationError
from calibration.gaze.drift import MAX_OFFSET_DEG
from calibration.gaze.mapping import GazeFit, GazeMap, fit_gaze
from calibration.gaze.matching import GazePairs, find_outliers
from calibration.gaze.quality import GazeValidation, validate_gaze
from calibration.gaze.view import FieldView, view_from_dict
from calibration.lens import Floats


@dataclass(frozen=True, slots=True, eq=False)
class AppliedCalibration:
    """Holds calibrated gaze, px (N, 2), its error radius, px (N,), and whether it is extrapolated (N,)."""

    px: Floats
    radius_px: Floats
    is_extrapolated: NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class GazeCalibration:
    """Maps a tracker's reported pixels to calibrated gaze with an error radius.

    expected_deg: leave-one-target-out error, which is used without a validation. drift_deg: offset from a later
    fixation of a known point.
    """

    view: FieldView
    map: GazeMap
    expected_deg: float
    validation: GazeValidation | None = None
    drift_deg: tuple[float, float] = (0.0, 0.0)

    @property
    def radius_deg(self) -> float:
        """The error inside the hull: of the validation, else the expected one."""
        return self.validation.accuracy_deg if self.validation is not None else self.expected_deg

    def correct_deg(self, gaze_deg: Floats) -> Floats:
        """Correct (N, 2) reported degrees."""
        return np.asarray(self.map.apply(gaze_deg) + np.array(self.drift_deg), np.float64)

    def apply(self, gaze_px: ArrayLike) -> AppliedCalibration:
        """Correct (N, 2) reported px, which may lie outside the picture."""
        gaze = self.view.to_degrees(gaze_px)
        px = self.view.to_pixels(self.correct_deg(gaze))
        # Beyond the hull there are no measurements; the fit's own uncertainty is added there.
        inside_error = self.map.error_deg(self.map.hull_deg).mean()
        growth = np.clip(self.map.error_deg(gaze) / max(float(inside_error), 1e-9), 1.0, _MAX_ERROR_GROWTH)
        is_extrapolated = self.map.distance_outside_deg(gaze) > _HULL_MARGIN_DEG
        radius = self.radius_deg * np.where(is_extrapolated, growth, 1.0)
        return AppliedCalibration(px, radius * self.view.px_per_degree(px), is_extrapolated)

    def with_validation(self, pairs: Sequence[GazePairs]) -> GazeCalibration:
        """Add the error on validation targets; raises `QualityError`."""
        return replace(self, validation=validate_gaze(pairs, self.view, self.correct_deg))

    def to_dict(self) -> dict[str, Any]:
        """Convert it to the body of a calibration file."""
        return {
            "view": self.view.to_dict(),
            "map": self.map.to_dict(),
            "expected_deg": self.expected_deg,
            "validation": self.validation.to_dict() if self.validation else None,
            "drift_deg": list(self.drift_deg),
        }

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> GazeCalibration:
        """Parse the result of `to_dict`; raises `CalibrationError`."""
        try:
            validation = fields["validation"]
            dx, dy = (float(value) for value in fields["drift_deg"])
            calibration = cls(
                view_from_dict(fields["view"]),
                GazeMap.from_dict(fields["map"]),
                float(fields["expected_deg"]),
                GazeValidation.from_dict(validation) if validation is not None else None,
                (dx, dy),
            )
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise CalibrationError(f"this is no gaze calibration: {error!s:.80}; calibrate again") from None
        if not (math.hypot(dx, dy) <= MAX_OFFSET_DEG * 1.001 and 0 <= calibration.radius_deg < math.inf):
            raise CalibrationError(
                f"this is no gaze calibration: its drift is {dx:g}, {dy:g} and its error "
                f"{calibration.radius_deg:g} degrees; calibrate again"
            )
        return calibration


_MAX_ERROR_GROWTH = 4.0
_HULL_MARGIN_DEG = 1.0
"""Distance beyond the hull that is no extrapolation: its corners are as uncertain."""


@dataclass(frozen=True, slots=True, eq=False)
class TargetSamples:
    """Holds one gaze point for each target, degrees, for the fit. outliers: number of samples far from the others."""

    names: tuple[str, ...]
    gaze_deg: Floats
    target_deg: Floats
    samples: tuple[int, ...]
    outliers: tuple[int, ...]


def summarize_targets(pairs: Sequence[GazePairs], view: FieldView) -> TargetSamples:
    """Summarize every target with enough samples by the median without outliers."""
    rows = []
    for each in (p for p in pairs if p.is_usable):
        gaze, target = view.to_degrees(each.gaze_px), view.to_degrees(each.target_px)
        is_outlier = find_outliers(gaze - target)
        median = np.median(gaze[~is_outlier], axis=0)
        target_deg = median + np.median((target - gaze)[~is_outlier], axis=0)
        rows.append((each.name, median, target_deg, int((~is_outlier).sum()), int(is_outlier.sum())))
    names, medians, targets, samples, outliers = zip(*rows, strict=True) if rows else ((),) * 5
    return TargetSamples(names, np.reshape(medians, (-1, 2)), np.reshape(targets, (-1, 2)), samples, outliers)


def calibrate_gaze(pairs: Sequence[GazePairs], view: FieldView) -> tuple[GazeCalibration, GazeFit, TargetSamples]:
    """Fit a calibration to gaze at targets; raises `GazeFitError` with the reason."""
    targets = summarize_targets(pairs, view)
    fit = fit_gaze(targets.gaze_deg, targets.target_deg)
    return GazeCalibration(view, fit.map, fit.leave_one_out_deg[fit.map.kind]), fit, targets
