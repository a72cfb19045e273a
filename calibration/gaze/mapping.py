"""From what the tracker says to where the eyes are, both in degrees: the map, and how it is chosen and fitted. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from calibration.errors import CalibrationError
from calibration.gaze.bayesian_regression import fit_shrunk
from calibration.gaze.hull import hull_of, nearest_within, width_of

Array = NDArray[np.float64]
Kind = Literal["offset", "affine", "quadratic", "regularised"]
KINDS: tuple[Kind, ...] = get_args(Kind)

FEWEST_TARGETS = 4
LEAST_SPREAD_DEG, LEAST_WIDTH_DEG, LEAST_WIDTH_SHARE = 6.0, 2.0, 0.12
"""Targets must span so much, and be so far from one line."""
CUBIC_TARGETS = 15
"""From so many targets on the regularised model has cubic terms."""
CLEARLY = 0.85
"""A plain model is preferred to the regularised one when its leave-one-target-out error is below so many times that.

Over nine targets that error is itself uncertain by a quarter, and the regularised model contains the plain ones as its
limits: on synthetic trackers "the simplest within 5 % of the best" costs 0.05 degrees on other targets, this does not.
"""
HUBER, OUTLIER, LEAST_SD_DEG = 2.0, 4.5, 0.3
"""Standardised left-out residual from which a target counts less, and from which it does not count.

The standard deviation is taken to be at least this: eyes are no better, and a polynomial is no better a tracker.
"""
_MOST_CORRECTION_DEG = 180.0
_ROUNDS = 6
_MOST_SHARE_OUT = 0.34
_TERMS = {"offset": 1, "affine": 3, "quadratic": 6}


class GazeFitError(CalibrationError):
    """Targets that no map can be fitted to; the message says what is wrong with them and what to do."""


@dataclass(frozen=True, slots=True, eq=False)
class GazeMap:
    """Adds to each look a polynomial of where the tracker says that it is; all in degrees from the optical axis.

    centre_deg, scale_deg: (2,); (look - centre) / scale is the polynomial's variable. weights: (terms, 2), covariance:
    (terms, terms) of either axis. hull_deg: (H, 2) corners of what the targets covered, as the tracker said it.
    Beyond the hull the correction stays what it is at its edge: nothing is known there, and a quadratic goes wild.
    """

    kind: Kind
    centre_deg: Array
    scale_deg: Array
    weights: Array
    covariance: Array
    hull_deg: Array

    def apply(self, look_deg: Array) -> Array:
        """(N, 2) where the eyes are, from (N, 2) where the tracker says that they are."""
        near, _ = nearest_within(self.hull_deg, look_deg)
        return np.asarray(look_deg + self._basis(near) @ self.weights, np.float64)

    def outside_deg(self, look_deg: Array) -> Array:
        """(N,) how far beyond the hull the looks lie; 0 inside. What is more than 0 is extrapolated."""
        return nearest_within(self.hull_deg, look_deg)[1]

    def error_deg(self, look_deg: Array) -> Array:
        """(N,) what the fit itself expects to be off by, root mean square over both axes together; grows outside."""
        basis = self._basis(look_deg)
        variance = np.einsum("it,tu,iu->i", basis, self.covariance, basis)
        return np.asarray(np.sqrt(2 * np.maximum(variance, 0.0)), np.float64)

    def _basis(self, look_deg: Array) -> Array:
        return terms((look_deg - self.centre_deg) / self.scale_deg, len(self.weights))

    def to_dict(self) -> dict[str, Any]:
        """Plain values for a file."""
        return {"kind": self.kind} | {name: getattr(self, name).tolist() for name in _ARRAYS}

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> GazeMap:
        """What `to_dict` gave; raises `GazeFitError` for anything else."""
        try:
            kind = fields["kind"]
            arrays = {name: np.array(fields[name], np.float64) for name in _ARRAYS}
        except (KeyError, TypeError, ValueError) as error:
            raise GazeFitError(f"this is no gaze map: {error!s:.80}") from None
        count = len(arrays["weights"])
        shapes = {
            "centre_deg": (2,), "scale_deg": (2,), "weights": (count, 2), "covariance": (count, count),
            "hull_deg": (len(arrays["hull_deg"]), 2),
        }  # fmt: skip
        for name, shape in shapes.items():
            if arrays[name].shape != shape or not np.isfinite(arrays[name]).all():
                raise GazeFitError(f"this is no gaze map: {name} must be {shape} finite numbers")
        if kind not in KINDS or count not in (1, 3, 6, 10) or not len(arrays["hull_deg"]):
            raise GazeFitError(f"this is no gaze map: kind {kind!r:.40} with {count} terms")
        if (arrays["scale_deg"] <= 0).any():
            raise GazeFitError("this is no gaze map: scale_deg must be above 0")
        made = cls(kind, **arrays)
        if not np.abs(made.apply(made.hull_deg) - made.hull_deg).max() < _MOST_CORRECTION_DEG:
            raise GazeFitError(f"this is no gaze map: it corrects by more than {_MOST_CORRECTION_DEG:g} degrees")
        return made


_ARRAYS = ("centre_deg", "scale_deg", "weights", "covariance", "hull_deg")


@dataclass(frozen=True, slots=True, eq=False)
class GazeFit:
    """A map and how it came about.

    left_out_deg: leave-one-target-out error of every model that could be fitted, mean over the targets that count.
    residual_deg: (N, 2) what the map leaves at each target. trust: (N,) 0 for a target that did not count.
    """

    map: GazeMap
    left_out_deg: dict[Kind, float]
    residual_deg: Array
    trust: Array


def fit_gaze(look_deg: Array, target_deg: Array, kinds: tuple[Kind, ...] = KINDS) -> GazeFit:
    """Fit the map from (N, 2) looks, one a target, to the (N, 2) targets; `GazeFitError` if they do not suffice.

    Of `kinds`, the one with the least leave-one-target-out error is taken, ties going to the regularised one.
    """
    look, target = np.asarray(look_deg, np.float64), np.asarray(target_deg, np.float64)
    refuse(target)
    centre, scale = _frame_of(look)
    unit, wanted = (look - centre) / scale, target - look
    shrunk = _fitter("regularised", len(look))
    trust = _trust(shrunk, unit, wanted)
    fits = {kind: _fitter(kind, len(look)) for kind in kinds if _possible(kind, trust)}
    answers = {kind: fit(unit, wanted, trust) for kind, fit in fits.items()}
    if not answers:
        raise GazeFitError(f"{len(look)} targets are too few for {' or '.join(kinds)}")
    counts = trust > 0
    errors = {kind: float(np.linalg.norm(a.left_out[counts], axis=1).mean()) for kind, a in answers.items()}
    kind = _chosen(errors)
    best = answers[kind]
    made = GazeMap(kind, centre, scale, best.weights, best.covariance, hull_of(look[counts]))
    return GazeFit(made, errors, target - made.apply(look), trust)


def refuse(target_deg: Array) -> None:
    """Raise `GazeFitError` if (N, 2) targets are too few, too near each other or all on one line."""
    if len(target_deg) < FEWEST_TARGETS:
        raise GazeFitError(f"{len(target_deg)} usable targets are too few; look at {FEWEST_TARGETS} or more")
    if not np.isfinite(target_deg).all():
        raise GazeFitError("a target's place is not a number; is the camera's calibration of this camera?")
    hull = hull_of(target_deg)
    spread = float(np.linalg.norm(hull[:, None] - hull, axis=2).max())
    if spread < LEAST_SPREAD_DEG:
        raise GazeFitError(
            f"the targets are clustered within {spread:.1f} degrees; spread them over {LEAST_SPREAD_DEG:g} or more, "
            "better over most of the picture"
        )
    width = width_of(hull)
    if width < max(LEAST_WIDTH_DEG, LEAST_WIDTH_SHARE * spread):
        raise GazeFitError(
            f"the targets lie along one line ({spread:.0f} degrees long, {width:.1f} wide); add some beside it"
        )


def terms(unit: Array, count: int) -> Array:
    """(N, count) the first 1, 3, 6 or 10 monomials of (N, 2), by order."""
    x, y = unit.T
    columns = [np.ones_like(x), x, y, x * x, x * y, y * y, x**3, x * x * y, x * y * y, y**3]
    return np.stack(columns[:count], 1)


def _frame_of(look: Array) -> tuple[Array, Array]:
    """Centre and half extent of the looks; a lone outlier does not move the centre."""
    centre = np.median(look, axis=0)
    return centre, np.maximum(np.quantile(np.abs(look - centre), 0.9, axis=0), LEAST_WIDTH_DEG / 2)


@dataclass(frozen=True, slots=True, eq=False)
class _FitCandidate:
    weights: Array
    covariance: Array
    left_out: Array
    left_out_sd: Array


_Fitter = Callable[[Array, Array, Array], _FitCandidate]


def _possible(kind: Kind, trust: Array) -> bool:
    """Whether the model can be fitted, and is overdetermined even when one of the targets that count is left out."""
    return kind == "regularised" or int((trust > 0).sum()) - 1 > _TERMS[kind]


def _fitter(kind: Kind, targets: int) -> _Fitter:
    if kind != "regularised":
        return lambda unit, wanted, trust: _least_squares(terms(unit, _TERMS[kind]), wanted, trust)
    count = 10 if targets >= CUBIC_TARGETS else 6
    orders = np.array([0, 1, 1, 2, 2, 2, 3, 3, 3, 3][:count])

    def fit(unit: Array, wanted: Array, trust: Array) -> _FitCandidate:
        answer = fit_shrunk(terms(unit, count), orders, wanted, np.maximum(trust, 1e-6))
        return _FitCandidate(answer.weights, answer.covariance, answer.left_out, answer.left_out_sd)

    return fit


def _least_squares(basis: Array, wanted: Array, trust: Array) -> _FitCandidate:
    """Weighted least squares with closed-form leave-one-out residuals."""
    root = np.sqrt(trust)[:, None]
    inverse = np.linalg.pinv((basis * root).T @ (basis * root))
    weights = inverse @ (basis * trust[:, None]).T @ wanted
    residual = wanted - basis @ weights
    leverage = trust * np.einsum("it,tu,iu->i", basis, inverse, basis)
    free = max(float((trust > 0).sum()) - basis.shape[1], 1.0)
    variance = float((trust[:, None] * residual**2).sum()) / (2 * free)
    left_out = residual / np.maximum(1 - leverage, 1e-6)[:, None]
    return _FitCandidate(weights, inverse * variance, left_out, np.full(len(wanted), np.sqrt(variance)))


def _trust(fit: _Fitter, unit: Array, wanted: Array) -> Array:
    """(N,) how much each target counts: iteratively reweighted by its left-out residual (Huber 1964).

    One beyond `OUTLIER` does not count, the worst first, so that it does not drag others along; never over a third.
    """
    trust = np.ones(len(wanted))
    may_go = int(_MOST_SHARE_OUT * len(wanted))
    for _ in range(_ROUNDS + may_go):
        answer = fit(unit, wanted, trust)
        off = np.linalg.norm(answer.left_out, axis=1) / (np.sqrt(2) * _own_sd(answer, trust))
        inside = trust > 0
        worst = int(np.argmax(np.where(inside, off, -1.0)))
        if off[worst] > OUTLIER and may_go > 0:
            trust[worst], may_go = 0.0, may_go - 1
            continue
        wished = np.where(inside, np.minimum(1.0, (HUBER / np.maximum(off, 1e-9)) ** 2), 0.0)
        if np.abs(wished - trust).max() < 0.02:
            break
        trust = np.where(inside, np.maximum(wished, 0.02), 0.0)
    return trust


def _own_sd(answer: _FitCandidate, trust: Array) -> Array:
    """(N,) the left-out sd that a target would have if it were an ordinary one."""
    return np.maximum(answer.left_out_sd * np.sqrt(np.clip(trust, 0.05, 1.0)), LEAST_SD_DEG)


def _chosen(errors: dict[Kind, float]) -> Kind:
    plain = {kind: error for kind, error in errors.items() if kind != "regularised"}
    if "regularised" in errors:
        plain = {kind: error for kind, error in plain.items() if error < CLEARLY * errors["regularised"]}
        if not plain:
            return "regularised"
    best = min(plain.values())
    return next(kind for kind in KINDS if kind in plain and plain[kind] <= 1.05 * best + 1e-9)
