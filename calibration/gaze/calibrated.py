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

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class AppliedCalibration:
    """px: (N, 2) where the eyes are. radius_px: (N,) how far off that may be. outside: (N,) whether extrapolated."""

    px: Array
    radius_px: Array
    is_extrapolated: NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class GazeCalibration:
    """Maps a tracker's reported pixels to calibrated gaze with an error radius.

    expected_deg: the error as far as it is known without a validation (leaving each target out). drift_deg: offset
    that one look at a known point has added since.
    """

    view: FieldView
    map: GazeMap
    expected_deg: float
    validation: GazeValidation | None = None
    drift_deg: tuple[float, float] = (0.0, 0.0)

    @property
    def radius_deg(self) -> float:
        """The error of a look inside the hull: what validation found, else what was expected."""
        return self.validation.accuracy_deg if self.validation is not None else self.expected_deg

    def correct_deg(self, gaze_deg: Array) -> Array:
        """(N, 2) degrees of the tracker to where the eyes are."""
        return np.asarray(self.map.apply(gaze_deg) + np.array(self.drift_deg), np.float64)

    def apply(self, gaze_px: ArrayLike) -> AppliedCalibration:
        """(N, 2) px of the tracker, which may lie outside the picture, to where the eyes are."""
        gaze = self.view.to_degrees(gaze_px)
        px = self.view.to_pixels(self.correct_deg(gaze))
        # Beyond the hull nobody has measured; the fit itself says by how much more it may be off there.
        inside_error = self.map.error_deg(self.map.hull_deg).mean()
        growth = np.clip(self.map.error_deg(gaze) / max(float(inside_error), 1e-9), 1.0, _MAX_ERROR_GROWTH)
        is_extrapolated = self.map.distance_outside_deg(gaze) > _HULL_MARGIN_DEG
        radius = self.radius_deg * np.where(is_extrapolated, growth, 1.0)
        return AppliedCalibration(px, radius * self.view.px_per_degree(px), is_extrapolated)

    def with_validation(self, pairs: Sequence[GazePairs]) -> GazeCalibration:
        """With the error that it has on other targets; raises `QualityError`."""
        return replace(self, validation=validate_gaze(pairs, self.view, self.correct_deg))

    def to_dict(self) -> dict[str, Any]:
        """The body of a calibration file."""
        return {
            "view": self.view.to_dict(),
            "map": self.map.to_dict(),
            "expected_deg": self.expected_deg,
            "validation": self.validation.to_dict() if self.validation else None,
            "drift_deg": list(self.drift_deg),
        }

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> GazeCalibration:
        """What `to_dict` gave; raises `CalibrationError` for anything else."""
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
        except (KeyError, TypeError, ValueError) as error:
            raise CalibrationError(f"this is no gaze calibration: {error!s:.80}; calibrate again") from None
        if not (math.hypot(dx, dy) <= MAX_OFFSET_DEG * 1.001 and 0 <= calibration.radius_deg < math.inf):
            raise CalibrationError(
                f"this is no gaze calibration: its drift is {dx:g}, {dy:g} and its error "
                f"{calibration.radius_deg:g} degrees; calibrate again"
            )
        return calibration


_MAX_ERROR_GROWTH = 4.0
_HULL_MARGIN_DEG = 1.0
"""So far beyond the hull is not called extrapolation: its corners are themselves no better known."""


@dataclass(frozen=True, slots=True, eq=False)
class TargetSamples:
    """One look a target, degrees: what is fitted. strays: samples of each that lay far from its others."""

    names: tuple[str, ...]
    gaze_deg: Array
    target_deg: Array
    samples: tuple[int, ...]
    outliers: tuple[int, ...]


def summarize_targets(pairs: Sequence[GazePairs], view: FieldView) -> TargetSamples:
    """Every target that has enough samples, by the median of those that are no strays."""
    names, gaze_medians, targets, sample_counts, outlier_counts = [], [], [], [], []
    for each in (p for p in pairs if p.is_usable):
        gaze, target = view.to_degrees(each.gaze_px), view.to_degrees(each.target_px)
        is_outlier = find_outliers(gaze - target)
        median = np.median(gaze[~is_outlier], axis=0)
        gaze_medians.append(median)
        targets.append(median + np.median((target - gaze)[~is_outlier], axis=0))
        names.append(each.name)
        sample_counts.append(int((~is_outlier).sum()))
        outlier_counts.append(int(is_outlier.sum()))
    shape = (len(names), 2)
    return TargetSamples(
        tuple(names),
        np.array(gaze_medians, np.float64).reshape(shape),
        np.array(targets, np.float64).reshape(shape),
        tuple(sample_counts),
        tuple(outlier_counts),
    )


def calibrate_gaze(pairs: Sequence[GazePairs], view: FieldView) -> tuple[GazeCalibration, GazeFit, TargetSamples]:
    """Fit a calibration to looks at targets; raises `GazeFitError` with what is wrong with them."""
    targets = summarize_targets(pairs, view)
    fit = fit_gaze(targets.gaze_deg, targets.target_deg)
    return GazeCalibration(view, fit.map, fit.leave_one_out_deg[fit.map.kind]), fit, targets
