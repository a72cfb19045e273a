"""Fits a polynomial surface to few, noisy targets by Bayesian regression. Pure.

Every term has a Gaussian prior around zero, with a width for its order. These widths and the targets' noise are
unknown: the fit is the mean over a grid of them, weighted by their evidence (MacKay, Bayesian interpolation, Neural
Computation 1992; the grid instead of its maximum, which nine targets do not determine). A term without support in the
data stays near zero, a clear one is hardly shrunk: the offset, affine and quadratic models are its limits.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calibration.lens import Floats

OFFSET_PRIOR_SD_DEG = 10.0
"""Prior sd of the offset: wider than any tracker's bias, so that it is unconstrained."""
NOISE_GRID_DEG = np.geomspace(0.03, 3.0, 8)
LINEAR_GRID_DEG = np.geomspace(0.06, 6.0, 8)
QUADRATIC_GRID_DEG = np.geomspace(0.05, 5.0, 8)
"""Grid, degrees at the edge of the field: noise of a target per axis, linear terms, quadratic terms."""
NOISE_PRIOR, LINEAR_PRIOR, QUADRATIC_PRIOR = (0.75, 0.5), (1.0, 1.1), (0.45, 1.2)
"""Prior median, degrees, and sd of the logarithm, from wearable trackers; wide enough for the data to dominate."""
ORDER_DECAY = 0.5
"""Prior ratio of cubic to quadratic terms."""


@dataclass(frozen=True, slots=True, eq=False)
class SurfaceFit:
    """Holds a fitted surface.

    weights: (terms, 2). covariance: (terms, terms), of either axis. leave_one_out: (N, 2) leave-one-out residuals;
    leave_one_out_sd: (N,) their expected sd per axis, including noise.
    """

    weights: Floats
    covariance: Floats
    leave_one_out: Floats
    leave_one_out_sd: Floats


def fit_bayesian_surface(
    basis: Floats, orders: NDArray[np.int64], values: Floats, target_weights: Floats
) -> SurfaceFit:
    """Fit `values` (N, 2) degrees with `basis` (N, terms), whose terms have `orders` (terms,).

    target_weights: (N,) 1 for an ordinary target, less for a noisier one.
    """
    prior, noise, log_prior = _hyperparameter_grid(orders)
    kernel = np.einsum("it,gt,jt->gij", basis, prior, basis)
    kernel[:, range(len(target_weights)), range(len(target_weights))] += noise[:, None] / target_weights
    inverse = np.linalg.inv(kernel)
    solved = inverse @ values
    log_likelihood = -0.5 * np.einsum("gik,ik->g", solved, values) - np.linalg.slogdet(kernel)[1]
    posterior = _softmax(log_likelihood + log_prior)
    means = np.einsum("gt,it,gik->gtk", prior, basis, solved)
    weights = np.einsum("g,gtk->tk", posterior, means)
    gain = np.einsum("gt,it->gti", prior, basis)
    within = np.einsum("g,gt,tu->tu", posterior, prior, np.eye(len(orders)))
    within -= np.einsum("g,gti,gij,guj->tu", posterior, gain, inverse, gain, optimize=True)
    between = means - weights
    covariance = within + np.einsum("g,gtk,guk->tu", posterior, between, between) / 2
    # Leave-one-out residuals need no second fit (Rasmussen & Williams, Gaussian processes, 2006, section 5.4.2).
    precision = np.einsum("gii->gi", inverse)
    residual = solved / precision[..., None]
    log_density = np.log(precision) - 0.5 * precision * (residual**2).sum(2)  # of a target, by the fit without it
    posterior_without = _softmax((log_likelihood + log_prior)[:, None] - log_density)
    leave_one_out = np.einsum("gi,gik->ik", posterior_without, residual)
    leave_one_out_sd = np.sqrt(np.einsum("gi,gi->i", posterior_without, 1 / precision))
    return SurfaceFit(weights, covariance, leave_one_out, leave_one_out_sd)


def _hyperparameter_grid(orders: NDArray[np.int64]) -> tuple[Floats, Floats, Floats]:
    """Build the grid: (G, terms) prior variances, (G,) noise variances, (G,) log priors."""
    noise, linear, quadratic = (
        a.ravel() for a in np.meshgrid(NOISE_GRID_DEG, LINEAR_GRID_DEG, QUADRATIC_GRID_DEG, indexing="ij")
    )
    log_prior = np.zeros_like(noise)
    for tried, (median, spread) in ((noise, NOISE_PRIOR), (linear, LINEAR_PRIOR), (quadratic, QUADRATIC_PRIOR)):
        log_prior -= 0.5 * (np.log(tried / median) / spread) ** 2
    by_order = {0: np.full_like(noise, OFFSET_PRIOR_SD_DEG), 1: linear}
    sds = [by_order[o] if o < 2 else quadratic * ORDER_DECAY ** (o - 2) for o in orders.tolist()]
    return np.stack(sds, 1) ** 2, noise**2, log_prior


def _softmax(logs: Floats) -> Floats:
    weights = np.exp(logs - logs.max(0))
    return np.asarray(weights / weights.sum(0), np.float64)
