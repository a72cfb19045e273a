"""Fits and selects the polynomial map from reported to true gaze, both in degrees. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from calibration.errors import CalibrationError
from calibration.gaze.bayesian_regression import SurfaceFit, fit_bayesian_surface
from calibration.gaze.hull import compute_hull, compute_min_width, project_onto_hull
from calibration.lens import Floats

MapKind = Literal["offset", "affine", "quadratic", "regularised"]
MAP_KINDS: tuple[MapKind, ...] = get_args(MapKind)

MIN_TARGETS = 4
MIN_SPREAD_DEG, MIN_WIDTH_DEG, MIN_WIDTH_SHARE = 6.0, 2.0, 0.12
"""Smallest extent of the targets, and smallest width of their hull."""
MIN_CUBIC_TARGETS = 15
"""Number of targets from which the regularised model has cubic terms."""
MAX_PLAIN_ERROR_RATIO = 0.85
"""A plain model is preferred when its leave-one-target-out error is below this factor of the regularised one's.

Over nine targets that error is itself uncertain by a quarter, and the regularised model contains the plain ones as its
limits: on synthetic trackers "the simplest within 5 % of the best" costs 0.05 degrees on other targets, this does not.
"""
HUBER_SIGMAS, OUTLIER_SIGMAS, MIN_SD_DEG = 2.0, 4.5, 0.3
"""Standardised left-out residuals from which a target has less weight, and none.

The standard deviation is at least the third: neither eyes nor polynomials are better.
"""
_MAX_CORRECTION_DEG = 180.0
_ROUNDS = 6
_MAX_OUTLIER_SHARE = 0.34
_TERM_COUNTS = {"offset": 1, "affine": 3, "quadratic": 6}
_TERM_ORDERS = np.array([0, 1, 1, 2, 2, 2, 3, 3, 3, 3])


class GazeFitError(CalibrationError):
    """An error for targets that determine no map; the message gives reason and remedy."""


@dataclass(frozen=True, slots=True, eq=False)
class GazeMap:
    """A map that adds a polynomial to gaze, all in degrees from the optical axis.

    centre_deg, scale_deg: (2,); (gaze - centre) / scale is the polynomial's variable. weights: (terms, 2), covariance:
    (terms, terms) of either axis. hull_deg: (H, 2) corners of the targets' hull, in reported gaze.
    Beyond the hull the correction is that at its edge: there are no data, and a quadratic diverges.
    """

    kind: MapKind
    centre_deg: Floats
    scale_deg: Floats
    weights: Floats
    covariance: Floats
    hull_deg: Floats

    def apply(self, gaze_deg: Floats) -> Floats:
        """Correct (N, 2) reported gaze."""
        near, _ = project_onto_hull(self.hull_deg, gaze_deg)
        return np.asarray(gaze_deg + self._basis(near) @ self.weights, np.float64)

    def distance_outside_deg(self, gaze_deg: Floats) -> Floats:
        """Compute the (N,) distances beyond the hull; 0 inside. More than 0 is extrapolated."""
        return project_onto_hull(self.hull_deg, gaze_deg)[1]

    def error_deg(self, gaze_deg: Floats) -> Floats:
        """Compute the fit's own (N,) expected error, rms over both axes together; it grows outside."""
        basis = self._basis(gaze_deg)
        variance = np.einsum("it,tu,iu->i", basis, self.covariance, basis)
        return np.asarray(np.sqrt(2 * np.maximum(variance, 0.0)), np.float64)

    def _basis(self, gaze_deg: Floats) -> Floats:
        return build_terms((gaze_deg - self.centre_deg) / self.scale_deg, len(self.weights))

    def to_dict(self) -> dict[str, Any]:
        """Convert it to JSON values."""
        return {"kind": self.kind} | {name: getattr(self, name).tolist() for name in _ARRAYS}

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> GazeMap:
        """Parse the result of `to_dict`; raises `GazeFitError`."""
        try:
            kind = fields["kind"]
            arrays = {name: np.array(fields[name], np.float64) for name in _ARRAYS}
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise GazeFitError(f"this is no gaze map: {error!s:.80}") from None
        count = len(arrays["weights"])
        shapes = {
            "centre_deg": (2,), "scale_deg": (2,), "weights": (count, 2), "covariance": (count, count),
            "hull_deg": (len(arrays["hull_deg"]), 2),
        }  # fmt: skip
        for name, shape in shapes.items():
            if arrays[name].shape != shape or not np.isfinite(arrays[name]).all():
                raise GazeFitError(f"this is no gaze map: {name} must be {shape} finite numbers")
        if kind not in MAP_KINDS or count not in (1, 3, 6, 10) or not len(arrays["hull_deg"]):
            raise GazeFitError(f"this is no gaze map: kind {kind!r:.40} with {count} terms")
        if (arrays["scale_deg"] <= 0).any():
            raise GazeFitError("this is no gaze map: scale_deg must be above 0")
        gaze_map = cls(kind, **arrays)
        if not np.abs(gaze_map.apply(gaze_map.hull_deg) - gaze_map.hull_deg).max() < _MAX_CORRECTION_DEG:
            raise GazeFitError(f"this is no gaze map: it corrects by more than {_MAX_CORRECTION_DEG:g} degrees")
        return gaze_map


_ARRAYS = ("centre_deg", "scale_deg", "weights", "covariance", "hull_deg")


@dataclass(frozen=True, slots=True, eq=False)
class GazeFit:
    """Holds a map and the quality of its fit.

    leave_one_out_deg: leave-one-target-out error of every fitted model, mean over the accepted targets.
    residual_deg: (N, 2) of each target. target_weights: (N,) 0 for a rejected target.
    """

    map: GazeMap
    leave_one_out_deg: dict[MapKind, float]
    residual_deg: Floats
    target_weights: Floats


def fit_gaze(gaze_deg: Floats, target_deg: Floats, kinds: tuple[MapKind, ...] = MAP_KINDS) -> GazeFit:
    """Fit the map from (N, 2) gaze, one for each target, to (N, 2) targets; raises `GazeFitError`.

    Of `kinds`, the one with the smallest leave-one-target-out error wins, ties going to the regularised one.
    """
    gaze, target = np.asarray(gaze_deg, np.float64), np.asarray(target_deg, np.float64)
    check_targets(target)
    centre = np.median(gaze, axis=0)  # a lone outlier does not move it
    scale = np.maximum(np.quantile(np.abs(gaze - centre), 0.9, axis=0), MIN_WIDTH_DEG / 2)
    unit, correction = (gaze - centre) / scale, target - gaze
    target_weights = _estimate_target_weights(unit, correction)
    usable = [kind for kind in kinds if _can_fit(kind, target_weights)]
    candidates = {kind: _fit_kind(kind, unit, correction, target_weights) for kind in usable}
    if not candidates:
        raise GazeFitError(f"{len(gaze)} targets are too few for {' or '.join(kinds)}")
    is_used = target_weights > 0
    errors = {kind: float(np.linalg.norm(a.leave_one_out[is_used], axis=1).mean()) for kind, a in candidates.items()}
    kind = _select_kind(errors)
    best = candidates[kind]
    gaze_map = GazeMap(kind, centre, scale, best.weights, best.covariance, compute_hull(gaze[is_used]))
    return GazeFit(gaze_map, errors, target - gaze_map.apply(gaze), target_weights)


def check_targets(target_deg: Floats) -> None:
    """Raise `GazeFitError` if (N, 2) targets are too few, too near each other or all on one line."""
    if len(target_deg) < MIN_TARGETS:
        raise GazeFitError(f"{len(target_deg)} usable targets are too few; look at {MIN_TARGETS} or more")
    if not np.isfinite(target_deg).all():
        raise GazeFitError("a target's place is not a number; is the camera's calibration of this camera?")
    hull = compute_hull(target_deg)
    spread = float(np.linalg.norm(hull[:, None] - hull, axis=2).max())
    if spread < MIN_SPREAD_DEG:
        raise GazeFitError(
            f"the targets are clustered within {spread:.1f} degrees; spread them over {MIN_SPREAD_DEG:g} or more, "
            "better over most of the picture"
        )
    width = compute_min_width(hull)
    if width < max(MIN_WIDTH_DEG, MIN_WIDTH_SHARE * spread):
        raise GazeFitError(
            f"the targets lie along one line ({spread:.0f} degrees long, {width:.1f} wide); add some beside it"
        )


def build_terms(unit: Floats, count: int) -> Floats:
    """Build (N, count): the first 1, 3, 6 or 10 monomials of (N, 2), by order."""
    x, y = unit.T
    columns = [np.ones_like(x), x, y, x * x, x * y, y * y, x**3, x * x * y, x * y * y, y**3]
    return np.stack(columns[:count], 1)


def _can_fit(kind: MapKind, target_weights: Floats) -> bool:
    """Whether the model is overdetermined even without one of the accepted targets."""
    return kind == "regularised" or int((target_weights > 0).sum()) - 1 > _TERM_COUNTS[kind]


def _fit_kind(kind: MapKind, unit: Floats, correction: Floats, target_weights: Floats) -> SurfaceFit:
    count = _TERM_COUNTS.get(kind, 10 if len(unit) >= MIN_CUBIC_TARGETS else 6)
    basis = build_terms(unit, count)
    if kind == "regularised":
        return fit_bayesian_surface(basis, _TERM_ORDERS[:count], correction, np.maximum(target_weights, 1e-6))
    return _fit_least_squares(basis, correction, target_weights)


def _fit_least_squares(basis: Floats, correction: Floats, target_weights: Floats) -> SurfaceFit:
    """Fit by weighted least squares, with closed-form leave-one-out residuals."""
    root = np.sqrt(target_weights)[:, None]
    inverse = np.linalg.pinv((basis * root).T @ (basis * root))
    weights = inverse @ (basis * target_weights[:, None]).T @ correction
    residual = correction - basis @ weights
    leverage = target_weights * np.einsum("it,tu,iu->i", basis, inverse, basis)
    degrees_of_freedom = max(float((target_weights > 0).sum()) - basis.shape[1], 1.0)
    variance = float((target_weights[:, None] * residual**2).sum()) / (2 * degrees_of_freedom)
    leave_one_out = residual / np.maximum(1 - leverage, 1e-6)[:, None]
    return SurfaceFit(weights, inverse * variance, leave_one_out, np.full(len(correction), np.sqrt(variance)))


def _estimate_target_weights(unit: Floats, correction: Floats) -> Floats:
    """Weight (N,) targets by leave-one-out residuals: iteratively reweighted least squares (Huber 1964).

    A target beyond `OUTLIER_SIGMAS` gets weight 0, the worst first, at most a third: it would bias the others.
    """
    weights = np.ones(len(correction))
    max_outliers = int(_MAX_OUTLIER_SHARE * len(correction))
    for _ in range(_ROUNDS + max_outliers):
        candidate = _fit_kind("regularised", unit, correction, weights)
        ordinary_sd = np.maximum(candidate.leave_one_out_sd * np.sqrt(np.clip(weights, 0.05, 1.0)), MIN_SD_DEG)
        standardized = np.linalg.norm(candidate.leave_one_out, axis=1) / (np.sqrt(2) * ordinary_sd)
        is_used = weights > 0
        worst = int(np.argmax(np.where(is_used, standardized, -1.0)))
        if standardized[worst] > OUTLIER_SIGMAS and max_outliers > 0:
            weights[worst], max_outliers = 0.0, max_outliers - 1
            continue
        new_weights = np.where(is_used, np.minimum(1.0, (HUBER_SIGMAS / np.maximum(standardized, 1e-9)) ** 2), 0.0)
        if np.abs(new_weights - weights).max() < 0.02:
            break
        weights = np.where(is_used, np.maximum(new_weights, 0.02), 0.0)
    return weights


def _select_kind(errors: dict[MapKind, float]) -> MapKind:
    plain = {kind: error for kind, error in errors.items() if kind != "regularised"}
    if "regularised" in errors:
        plain = {kind: error for kind, error in plain.items() if error < MAX_PLAIN_ERROR_RATIO * errors["regularised"]}
        if not plain:
            return "regularised"
    best = min(plain.values())
    return next(kind for kind in MAP_KINDS if kind in plain and plain[kind] <= 1.05 * best + 1e-9)
