"""A gaze calibration as a whole: made from pairs, saved, and applied to every look. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from calibration.errors import CalibrationError
from calibration.gaze.drift import BOUND_DEG
from calibration.gaze.mapping import GazeFit, GazeMap, fit_gaze
from calibration.gaze.matching import GazePairs, strays
from calibration.gaze.quality import GazeValidation, validate
from calibration.gaze.view import FieldView, view_from_dict

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class AppliedCalibration:
    """px: (N, 2) where the eyes are. radius_px: (N,) how far off that may be. outside: (N,) whether extrapolated."""

    px: Array
    radius_px: Array
    outside: NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class GazeCalibration:
    """Takes a tracker's pixels to where the eyes are, with the error known.

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

    def corrected_deg(self, look_deg: Array) -> Array:
        """(N, 2) degrees of the tracker to where the eyes are."""
        return np.asarray(self.map.apply(look_deg) + np.array(self.drift_deg), np.float64)

    def apply(self, look_px: ArrayLike) -> AppliedCalibration:
        """(N, 2) px of the tracker, which may lie outside the picture, to where the eyes are."""
        look = self.view.degrees(look_px)
        px = self.view.pixels(self.corrected_deg(look))
        # Beyond the hull nobody has measured; the fit itself says by how much more it may be off there.
        middle = self.map.error_deg(self.map.hull_deg).mean()
        grown = np.clip(self.map.error_deg(look) / max(float(middle), 1e-9), 1.0, _MOST_GROWTH)
        beyond = self.map.outside_deg(look) > _HULL_SLACK_DEG
        radius = self.radius_deg * np.where(beyond, grown, 1.0)
        return AppliedCalibration(px, radius * self.view.px_per_degree(px), beyond)

    def validated(self, pairs: Sequence[GazePairs]) -> GazeCalibration:
        """With the error that it has on other targets; raises `QualityError`."""
        return replace(self, validation=validate(pairs, self.view, self.corrected_deg))

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
            checked = fields["validation"]
            dx, dy = (float(value) for value in fields["drift_deg"])
            made = cls(
                view_from_dict(fields["view"]),
                GazeMap.from_dict(fields["map"]),
                float(fields["expected_deg"]),
                GazeValidation.from_dict(checked) if checked is not None else None,
                (dx, dy),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise CalibrationError(f"this is no gaze calibration: {error!s:.80}; calibrate again") from None
        if not (math.hypot(dx, dy) <= BOUND_DEG * 1.001 and 0 <= made.radius_deg < math.inf):
            raise CalibrationError(
                f"this is no gaze calibration: its drift is {dx:g}, {dy:g} and its error {made.radius_deg:g} degrees; "
                "calibrate again"
            )
        return made


_MOST_GROWTH = 4.0
_HULL_SLACK_DEG = 1.0
"""So far beyond the hull is not called extrapolation: its corners are themselves no better known."""


@dataclass(frozen=True, slots=True, eq=False)
class TargetSamples:
    """One look a target, degrees: what is fitted. strays: samples of each that lay far from its others."""

    names: tuple[str, ...]
    look_deg: Array
    target_deg: Array
    samples: tuple[int, ...]
    strays: tuple[int, ...]


def summarised(pairs: Sequence[GazePairs], view: FieldView) -> TargetSamples:
    """Every target that has enough samples, by the median of those that are no strays."""
    names, looks, targets, samples, strayed = [], [], [], [], []
    for each in (p for p in pairs if p.usable):
        look, target = view.degrees(each.look_px), view.degrees(each.target_px)
        stray = strays(look - target)
        middle = np.median(look[~stray], axis=0)
        looks.append(middle)
        targets.append(middle + np.median((target - look)[~stray], axis=0))
        names.append(each.name)
        samples.append(int((~stray).sum()))
        strayed.append(int(stray.sum()))
    shape = (len(names), 2)
    return TargetSamples(
        tuple(names),
        np.array(looks, np.float64).reshape(shape),
        np.array(targets, np.float64).reshape(shape),
        tuple(samples),
        tuple(strayed),
    )


def calibrate(pairs: Sequence[GazePairs], view: FieldView) -> tuple[GazeCalibration, GazeFit, TargetSamples]:
    """Fit a calibration to looks at targets; raises `GazeFitError` with what is wrong with them."""
    targets = summarised(pairs, view)
    fit = fit_gaze(targets.look_deg, targets.target_deg)
    return GazeCalibration(view, fit.map, fit.left_out_deg[fit.map.kind]), fit, targets
