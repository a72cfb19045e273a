"""Converts the lens models of librealsense to camera models, without the library."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from calibration import CalibrationError, CameraModel, FisheyeCamera, PinholeCamera

MAX_FIT_PX = 1.0
"""A model whose fit is off by more, anywhere in the picture, is not used."""
_GRID = 24
"""Points of a fit along each side of the picture."""

Deproject = Callable[[Any, Sequence[float], float], Sequence[float]]


def convert_intrinsics(intrinsics: Any, deproject: Deproject) -> CameraModel | None:
    """Convert `rs.intrinsics`; None for a lens that neither pinhole nor fisheye models fit.

    Its first four models are OpenCV's, or without distortion in nearly all cameras; another one is fitted to what
    `deproject`, `rs2_deproject_pixel_to_point`, makes of the picture's pixels.
    """
    size = intrinsics.width, intrinsics.height
    focal = intrinsics.fx, intrinsics.fy, intrinsics.ppx, intrinsics.ppy
    model, coefficients = str(intrinsics.model).rpartition(".")[2], tuple(map(float, intrinsics.coeffs))
    try:
        if model == "none" or not any(coefficients):
            return PinholeCamera(size, *focal)
        if model == "brown_conrady":
            return PinholeCamera(size, *focal, coefficients[:5])
        if model == "kannala_brandt4":
            return FisheyeCamera(size, *focal, coefficients[:4])
        return _fit_brown_conrady(size, focal, lambda pixel: deproject(intrinsics, pixel, 1.0))
    except (CalibrationError, RuntimeError, ValueError):
        return None


def _fit_brown_conrady(
    size: tuple[int, int], focal: tuple[float, float, float, float], unproject: Callable[[list[float]], Sequence[float]]
) -> PinholeCamera | None:
    """Fit k1, k2, p1, p2, k3, in which the distorted point is linear where the undistorted one is known."""
    fx, fy, cx, cy = focal
    columns, rows = (np.linspace(0, side - 1, _GRID) for side in size)
    pixels = np.array([(x, y) for y in rows for x in columns])
    points = np.array([unproject([float(x), float(y)])[:2] for x, y in pixels], np.float64)
    x, y = points.T
    r2 = (points**2).sum(1)
    along_x = np.stack([x * r2, x * r2**2, 2 * x * y, r2 + 2 * x**2, x * r2**3], axis=1) * fx
    along_y = np.stack([y * r2, y * r2**2, r2 + 2 * y**2, 2 * x * y, y * r2**3], axis=1) * fy
    design = np.concatenate([along_x, along_y])
    wanted = np.concatenate([pixels[:, 0] - cx - fx * x, pixels[:, 1] - cy - fy * y])
    solution = np.linalg.lstsq(design, wanted, rcond=None)[0]
    if not np.abs(design @ solution - wanted).max() <= MAX_FIT_PX:
        return None
    return PinholeCamera(size, fx, fy, cx, cy, tuple(solution.tolist()))
