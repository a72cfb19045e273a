"""Maps the features of a webcam's picture of the eyes to the screen, for one person at one screen. Pure.

The features are first converted to degrees, with an offset, a gain for each axis and the lids' share, which this module
fits; what remains is the map that a headset's gaze has (`calibration.gaze.mapping`): polynomials whose ridge penalty is
chosen by evidence. Ridge regression to the screen is the method of WebGazer (Papoutsaki et al., IJCAI 2016), there from
the pixels of the eyes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from calibration.errors import CalibrationError
from calibration.gaze.calibrated import GazeCalibration, calibrate_gaze
from calibration.gaze.eye_features import EyeFeatures
from calibration.gaze.mapping import GazeFitError
from calibration.gaze.matching import GazePairs
from calibration.gaze.view import FlatView
from calibration.lens import Floats

LID_WEIGHTS_DEG = (0.0, 30.0, 60.0, 120.0)
"""Tried weights of the lids' opening, which follows the eyes downwards: degrees per share of the eye's width."""
MAX_LID_ERROR_RATIO = 0.75
"""The lids are used where they lower the leave-one-target-out error below this share.

They are noisy, and over nine targets that error itself is uncertain by a quarter.
"""
MIN_GAIN, MAX_GAIN = 0.25, 4.0
"""Of either axis; negative for a camera that shows the person as a mirror does, or upside down."""


@dataclass(frozen=True, slots=True, eq=False)
class EyePairs:
    """Holds the features of one target: K of them, their times, the target, px of the screen.

    lost, total: as in `GazePairs`.
    """

    name: str
    time_s: Floats
    features: Sequence[EyeFeatures]
    target_px: tuple[float, float]
    lost: int = 0
    total: int = 0


@dataclass(frozen=True, slots=True)
class ScreenModel:
    """Converts features to degrees on a screen, before the polynomial map.

    reference_mm: `EyeFeatures.distance_mm` during the calibration. opening: of the lids then. lid_deg: their weight.
    gain, offset_deg: of either axis.
    """

    reference_mm: float
    opening: float
    lid_deg: float = 0.0
    gain: tuple[float, float] = (1.0, 1.0)
    offset_deg: tuple[float, float] = (0.0, 0.0)

    def to_degrees(self, features: Sequence[EyeFeatures]) -> Floats:
        """Convert K features to (K, 2) degrees from the screen's middle."""
        raw = np.degrees(np.array([f.screen_mm for f in features]).reshape(-1, 2) / self.reference_mm)
        raw[:, 1] -= self.lid_deg * (np.array([f.opening for f in features]) - self.opening)
        return np.asarray(raw * self.gain + self.offset_deg, np.float64)

    def fit_axes(self, raw_deg: Floats, target_deg: Floats) -> ScreenModel:
        """Fit gain and offset of either axis to (N, 2) targets by least squares."""
        gains, offsets = [], []
        for raw, target in zip(raw_deg.T, target_deg.T, strict=True):
            around = raw - raw.mean()
            gain = float(around @ target / max(float(around @ around), 1e-9))
            gains.append(math.copysign(min(max(abs(gain), MIN_GAIN), MAX_GAIN), gain))
            offsets.append(float(np.median(target - gains[-1] * raw)))
        return replace(self, gain=(gains[0], gains[1]), offset_deg=(offsets[0], offsets[1]))


@dataclass(frozen=True, slots=True, eq=False)
class ScreenCalibration:
    """Maps features to px of a screen, with an error radius. distance_mm: of the person during the calibration."""

    model: ScreenModel
    gaze: GazeCalibration
    distance_mm: float

    def to_reported_px(self, features: EyeFeatures) -> tuple[float, float]:
        """Convert features to px of the screen, which `gaze` corrects."""
        x, y = self.gaze.view.to_pixels(self.model.to_degrees([features]))[0]
        return float(x), float(y)

    @property
    def degree_px(self) -> float:
        """Px of the screen per degree."""
        return float(self.gaze.view.px_per_degree(np.zeros((1, 2)))[0])

    @property
    def error_px(self) -> float:
        """The error on the validation targets, px of the screen; without them the expected one."""
        return self.gaze.radius_deg * self.degree_px

    def to_dict(self) -> dict[str, Any]:
        """Convert it to the body of a calibration file."""
        model = {name: getattr(self.model, name) for name in ScreenModel.__slots__}
        return {"model": model, "gaze": self.gaze.to_dict(), "distance_mm": self.distance_mm}

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> ScreenCalibration:
        """Parse the result of `to_dict`; raises `CalibrationError`."""
        try:
            values = fields["model"]
            gain_x, gain_y, offset_x, offset_y = (float(v) for v in (*values["gain"], *values["offset_deg"]))
            reference_mm, opening, lid_deg = (float(values[key]) for key in ("reference_mm", "opening", "lid_deg"))
            model = ScreenModel(reference_mm, opening, lid_deg, (gain_x, gain_y), (offset_x, offset_y))
            calibration = cls(model, GazeCalibration.from_dict(fields["gaze"]), float(fields["distance_mm"]))
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise CalibrationError(f"this is no calibration of a screen: {error!s:.80}; calibrate again") from None
        numbers = (reference_mm, opening, lid_deg, gain_x, gain_y, offset_x, offset_y, calibration.distance_mm)
        if (
            not all(map(math.isfinite, numbers))
            or min(reference_mm, abs(gain_x), abs(gain_y), calibration.distance_mm) <= 0
        ):
            raise CalibrationError("this is no calibration of a screen: its numbers are out of range; calibrate again")
        return calibration


def calibrate_screen(
    fit: Sequence[EyePairs], checks: Sequence[EyePairs], size: tuple[int, int], px_mm: float
) -> ScreenCalibration:
    """Fit a calibration to targets of a screen of (width, height) px, and measure its error on other ones.

    px_mm: size of a px of the screen. Raises `GazeFitError` or `QualityError` with the reason.
    """
    every = [features for pairs in fit for features in pairs.features]
    if not every:
        raise GazeFitError("no target was looked at with open eyes; is the face in the camera's picture?")
    distance_mm = float(np.median([features.person_distance_mm for features in every]))
    view = FlatView(size, degree_px=math.tan(math.radians(1)) * distance_mm / px_mm)
    start = ScreenModel(
        float(np.median([features.distance_mm for features in every])),
        float(np.median([features.opening for features in every])),
    )
    best, best_error = None, math.inf
    for lid_deg in LID_WEIGHTS_DEG:
        model = _fit_model(replace(start, lid_deg=lid_deg), fit, view)
        gaze, *_ = calibrate_gaze([_to_gaze_pairs(pairs, model, view) for pairs in fit], view)
        if gaze.expected_deg < best_error * (MAX_LID_ERROR_RATIO if best is not None else 1.0):
            best, best_error = (model, gaze), gaze.expected_deg
    if best is None:
        raise GazeFitError("the targets determine no calibration; calibrate again")
    model, gaze = best
    validated = gaze.with_validation([_to_gaze_pairs(pairs, model, view) for pairs in checks])
    return ScreenCalibration(model, validated, distance_mm)


def _fit_model(model: ScreenModel, fit: Sequence[EyePairs], view: FlatView) -> ScreenModel:
    usable = [pairs for pairs in fit if len(pairs.features)]
    raw = np.array([np.median(model.to_degrees(pairs.features), axis=0) for pairs in usable])
    return model.fit_axes(raw, view.to_degrees([pairs.target_px for pairs in usable]))


def _to_gaze_pairs(pairs: EyePairs, model: ScreenModel, view: FlatView) -> GazePairs:
    count = len(pairs.features)
    px = view.to_pixels(model.to_degrees(pairs.features))
    return GazePairs(pairs.name, pairs.time_s, px, np.tile(pairs.target_px, (count, 1)), pairs.lost, pairs.total)
