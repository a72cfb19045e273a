"""Distorts and undistorts normalized image points with pinhole and fisheye models. Pure, vectorised.

A distortion polynomial is only meaningful up to where it folds back: beyond that radius it maps rays that the lens
never saw into the middle of the picture. Here everything beyond it is NaN, in both directions.

Sources: Brown (1966) as in OpenCV's rational model, and Kannala & Brandt (2006) as in `cv2.fisheye`.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

MAX_PLANE_RADIUS = math.tan(math.radians(80))
"""Largest valid radius on the plane z = 1."""
Coefficients = tuple[float, ...]
_TABLE_SIZE = 4096
_MAX_STEPS = 25
_TOLERANCE = 1e-11


class LensFunctions(NamedTuple):
    """Holds the functions of a lens model, which take its coefficients first.

    distort: (N, 3) points to the (N, 2) distorted plane. undistort: (N, 2) back to (N, 3) unit rays. limit_rad: the
    largest angle from the axis where the polynomial increases. lengths: valid numbers of coefficients, ascending.
    """

    distort: Callable[[Coefficients, Floats], Floats]
    undistort: Callable[[Coefficients, Floats], Floats]
    limit_rad: Callable[[Coefficients], float]
    lengths: tuple[int, ...]


def distort_pinhole(coefficients: Coefficients, points: Floats) -> Floats:
    """Project (N, 3) points to the (N, 2) distorted plane; NaN behind, or where the polynomial folds.

    coefficients: k1 k2 p1 p2 k3 k4 k5 k6.
    """
    depth = np.where(points[:, 2] > 0, points[:, 2], np.nan)
    with np.errstate(over="ignore", invalid="ignore"):
        plane = points[:, :2] / depth[:, None]
        distorted, jacobian = _brown(coefficients, plane)
        valid = (np.hypot(*plane.T) < _plane_table(coefficients)[0][-1]) & (_det(jacobian) > 0)
    return np.asarray(np.where(valid[:, None], distorted, np.nan))


def undistort_pinhole(coefficients: Coefficients, distorted: Floats) -> Floats:
    """Convert (N, 2) on the distorted plane to (N, 3) unit rays by Newton's method; NaN without a ray."""
    radii, distorted_radii = _plane_table(coefficients)
    length = np.hypot(*distorted.T)
    # The radial part is inverted by table: a start so near that Newton cannot leave the branch.
    start = np.interp(length, distorted_radii, radii) / np.maximum(length, 1e-300)
    plane, valid = distorted * start[:, None], np.zeros(len(distorted), bool)
    index = np.flatnonzero(np.isfinite(plane).all(1) & (length <= 1.2 * distorted_radii[-1]))
    for _ in range(_MAX_STEPS):
        value, jacobian = _brown(coefficients, plane[index])
        error = value - distorted[index]
        size = np.abs(error).max(1, initial=0.0)
        is_converged = size < _TOLERANCE
        valid[index[is_converged]] = _det(jacobian[is_converged]) > 0
        is_active = ~is_converged & (size < 2 * MAX_PLANE_RADIUS)  # divergent points and NaN have no solution
        if not is_active.any():
            break
        index = index[is_active]
        plane[index] -= _solve(jacobian[is_active], error[is_active])
    valid &= np.hypot(*plane.T) < radii[-1]
    rays = np.column_stack([plane, np.ones(len(plane))])
    return np.asarray(np.where(valid[:, None], rays / np.linalg.norm(rays, axis=1, keepdims=True), np.nan))


def distort_fisheye(coefficients: Coefficients, points: Floats) -> Floats:
    """Project (N, 3) points to the (N, 2) distorted plane; NaN outside the field of view.

    Points beside and behind the camera are valid, too.

    coefficients: k1 k2 k3 k4 of theta (1 + k1 theta^2 + ...).
    """
    radius = np.hypot(points[:, 0], points[:, 1])
    theta: Floats = np.arctan2(radius, points[:, 2])
    thetas, _ = _fisheye_table(coefficients)
    valid = (theta < thetas[-1]) & ((radius > 0) | (points[:, 2] > 0))
    scale = _fisheye(coefficients, theta)[0] / np.maximum(radius, 1e-300)
    return np.asarray(np.where(valid[:, None], points[:, :2] * scale[:, None], np.nan))


def undistort_fisheye(coefficients: Coefficients, distorted: Floats) -> Floats:
    """Convert (N, 2) on the distorted plane to (N, 3) unit rays; NaN without a ray."""
    thetas, distorted_radii = _fisheye_table(coefficients)
    length = np.hypot(*distorted.T)
    theta: Floats = np.asarray(np.interp(length, distorted_radii, thetas))
    for _ in range(_MAX_STEPS):
        value, slope = _fisheye(coefficients, theta)
        if not (np.abs(value - length) > _TOLERANCE).any():
            break
        theta = np.asarray(np.clip(theta - (value - length) / np.maximum(slope, 1e-9), 0, thetas[-1]))
    valid = (np.abs(_fisheye(coefficients, theta)[0] - length) < 1e-9) & (theta < thetas[-1])
    direction = distorted / np.maximum(length, 1e-300)[:, None]
    rays = np.column_stack([direction * np.sin(theta)[:, None], np.cos(theta)])
    return np.asarray(np.where(valid[:, None], rays, np.nan))


def pinhole_limit_rad(coefficients: Coefficients) -> float:
    """Compute the largest angle from the axis, radians, where the pinhole polynomial is valid."""
    return math.atan(_plane_table(coefficients)[0][-1])


def fisheye_limit_rad(coefficients: Coefficients) -> float:
    """Compute the largest angle from the axis, radians, where the fisheye polynomial is valid; at most pi."""
    return float(_fisheye_table(coefficients)[0][-1])


def _brown(coefficients: Coefficients, plane: Floats) -> tuple[Floats, Floats]:
    """Compute the distorted plane (N, 2) and its Jacobian (N, 2, 2)."""
    k1, k2, p1, p2, k3, k4, k5, k6 = coefficients
    x, y = plane.T
    r2 = x * x + y * y
    above, below = 1 + r2 * (k1 + r2 * (k2 + r2 * k3)), 1 + r2 * (k4 + r2 * (k5 + r2 * k6))
    radial = above / below
    # d(radial)/d(r2)
    slope = ((k1 + r2 * (2 * k2 + 3 * r2 * k3)) - radial * (k4 + r2 * (2 * k5 + 3 * r2 * k6))) / below
    bent = np.empty_like(plane)
    bent[:, 0] = x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x)
    bent[:, 1] = y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y
    cross = 2 * x * y * slope + 2 * p1 * x + 2 * p2 * y
    jacobian = np.empty((len(plane), 2, 2))
    jacobian[:, 0, 0] = radial + 2 * x * x * slope + 2 * p1 * y + 6 * p2 * x
    jacobian[:, 1, 1] = radial + 2 * y * y * slope + 6 * p1 * y + 2 * p2 * x
    jacobian[:, 0, 1] = jacobian[:, 1, 0] = cross
    return bent, jacobian


def _fisheye(coefficients: Coefficients, theta: Floats) -> tuple[Floats, Floats]:
    k1, k2, k3, k4 = coefficients
    t2 = theta * theta
    bent = theta * (1 + t2 * (k1 + t2 * (k2 + t2 * (k3 + t2 * k4))))
    return bent, 1 + t2 * (3 * k1 + t2 * (5 * k2 + t2 * (7 * k3 + t2 * 9 * k4)))


@functools.lru_cache(maxsize=32)
def _plane_table(coefficients: Coefficients) -> tuple[Floats, Floats]:
    """Tabulate radii and distorted radii, both increasing, up to where the polynomial folds back."""
    k1, k2, _, _, k3, k4, k5, k6 = coefficients
    radii = np.linspace(0, MAX_PLANE_RADIUS, _TABLE_SIZE)
    r2 = radii * radii
    below = 1 + r2 * (k4 + r2 * (k5 + r2 * k6))
    with np.errstate(divide="ignore", invalid="ignore"):
        bent = radii * (1 + r2 * (k1 + r2 * (k2 + r2 * k3))) / below
    return _rising(radii, np.where(below > 0, bent, np.nan))


@functools.lru_cache(maxsize=32)
def _fisheye_table(coefficients: Coefficients) -> tuple[Floats, Floats]:
    thetas = np.linspace(0, math.pi, _TABLE_SIZE)
    return _rising(thetas, _fisheye(coefficients, thetas)[0])


def _rising(inner: Floats, outer: Floats) -> tuple[Floats, Floats]:
    """Cut both at the index where `outer` stops increasing."""
    rises = np.diff(outer) > 0  # False for NaN, too
    end = len(inner) if rises.all() else max(2, int(np.argmin(rises)) + 1)
    return inner[:end], np.nan_to_num(outer[:end])


def _det(jacobian: Floats) -> Floats:
    return np.asarray(jacobian[:, 0, 0] * jacobian[:, 1, 1] - jacobian[:, 0, 1] * jacobian[:, 1, 0])


def _solve(jacobian: Floats, off: Floats) -> Floats:
    """Compute Newton's step: the inverse of each 2 x 2 matrix times its vector."""
    det = _det(jacobian)
    det = np.where(np.abs(det) < 1e-9, 1e-9, det)
    x = (jacobian[:, 1, 1] * off[:, 0] - jacobian[:, 0, 1] * off[:, 1]) / det
    y = (jacobian[:, 0, 0] * off[:, 1] - jacobian[:, 1, 0] * off[:, 0]) / det
    return np.column_stack([x, y])


PINHOLE = LensFunctions(distort_pinhole, undistort_pinhole, pinhole_limit_rad, (0, 4, 5, 8))
FISHEYE = LensFunctions(distort_fisheye, undistort_fisheye, fisheye_limit_rad, (0, 4))
