"""Converts scene pixels to degrees around the middle, independent of the lens. Pure.

Degrees are azimuthal equidistant: the distance from the optical axis is the true angle, in the direction as in the
picture; x right, y down. The conversion is invertible, also at the edge of a fisheye.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from calibration.camera import CameraModel, angles_deg, camera_from_dict
from calibration.errors import CalibrationError
from calibration.lens import Floats

WIDTH_PER_DEGREE = 0.01
"""Share of the picture's width per degree, without a camera model: Neon has 15.6 px of 1600."""
_BISECTIONS = 24


@dataclass(frozen=True, slots=True)
class FlatView:
    """A view that ignores the lens: it has a constant number of pixels per degree.

    degree_px: px per degree, where they are known, as of a screen; 0 for `WIDTH_PER_DEGREE`.
    """

    size: tuple[int, int]
    is_exact: bool = False
    degree_px: float = 0.0

    @property
    def _centre(self) -> Floats:
        return (np.array(self.size) - 1) / 2

    @property
    def _px_per_degree(self) -> float:
        return self.degree_px or self.size[0] * WIDTH_PER_DEGREE

    def to_degrees(self, points_px: ArrayLike) -> Floats:
        """Convert (N, 2) px to (N, 2) degrees."""
        return np.asarray((np.asarray(points_px, np.float64) - self._centre) / self._px_per_degree)

    def to_pixels(self, points_deg: ArrayLike) -> Floats:
        """Convert (N, 2) degrees to (N, 2) px."""
        return np.asarray(np.asarray(points_deg, np.float64) * self._px_per_degree + self._centre)

    def angles_between_deg(self, here_deg: ArrayLike, there_deg: ArrayLike) -> Floats:
        """Compute the (N,) distances."""
        return np.asarray(np.linalg.norm(np.asarray(here_deg) - np.asarray(there_deg), axis=-1), np.float64)

    def px_per_degree(self, at_px: ArrayLike) -> Floats:
        """Repeat the constant, (N,)."""
        return np.full(len(np.asarray(at_px)), self._px_per_degree)

    def to_dict(self) -> dict[str, Any]:
        """Convert it to JSON values."""
        return {"size": list(self.size), **({"degree_px": self.degree_px} if self.degree_px else {})}


@dataclass(frozen=True, slots=True)
class CameraView:
    """A view that uses a calibrated camera; beyond the picture it extrapolates linearly."""

    camera: CameraModel
    is_exact: bool = True

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) px."""
        return self.camera.size

    @property
    def _principal_point(self) -> Floats:
        return np.array([self.camera.cx, self.camera.cy])

    def to_degrees(self, points_px: ArrayLike) -> Floats:
        """Convert (N, 2) px, also outside the picture, to (N, 2) degrees."""
        return _convert_or_extrapolate(points_px, self._principal_point, self._degrees_inside)

    def to_pixels(self, points_deg: ArrayLike) -> Floats:
        """Convert (N, 2) degrees to (N, 2) px, also outside the picture."""
        return _convert_or_extrapolate(points_deg, np.zeros(2), self._pixels_inside)

    def _degrees_inside(self, points_px: Floats) -> Floats:
        return _rays_to_degrees(self.camera.unproject(points_px))

    def _pixels_inside(self, points_deg: Floats) -> Floats:
        return self.camera.project(degrees_to_rays(points_deg))

    def angles_between_deg(self, here_deg: ArrayLike, there_deg: ArrayLike) -> Floats:
        """Compute the (N,) angles between the rays."""
        return angles_deg(
            degrees_to_rays(np.asarray(here_deg, np.float64)), degrees_to_rays(np.asarray(there_deg, np.float64))
        )

    def px_per_degree(self, at_px: ArrayLike) -> Floats:
        """Compute the (N,) mean over directions; outside the picture, of its nearest place."""
        points = np.clip(np.asarray(at_px, np.float64), 0, np.array(self.size) - 1.0)
        found = self.camera.px_per_degree_along(self.camera.unproject(points))
        return np.where(np.isfinite(found) & (found > 0), found, self.camera.px_per_degree())

    def to_dict(self) -> dict[str, Any]:
        """Convert it to JSON values."""
        return {"camera": self.camera.to_dict()}


FieldView = FlatView | CameraView


def view_from_dict(fields: dict[str, Any]) -> FieldView:
    """Parse the result of `to_dict`; raises `CalibrationError`."""
    if "camera" in fields:
        return CameraView(camera_from_dict(fields["camera"]))
    try:
        wide, high = (int(side) for side in fields["size"])
        degree_px = float(fields.get("degree_px", 0.0))
    except (KeyError, TypeError, ValueError, OverflowError):
        raise CalibrationError("the view has neither a camera nor a size; calibrate again") from None
    if not 0 <= degree_px < math.inf:
        raise CalibrationError(f"the view has {degree_px:g} px per degree; calibrate again")
    return FlatView((wide, high), degree_px=degree_px)


def _convert_or_extrapolate(points: ArrayLike, start: Floats, convert: Callable[[Floats], Floats]) -> Floats:
    """Convert (N, 2) points; beyond valid ones, extrapolate from the outermost on the line from `start`."""
    every = np.asarray(points, np.float64)
    out = convert(every)
    is_outside = np.isnan(out[:, 0]) & np.isfinite(every).all(1)
    if not is_outside.any():
        return out
    direction = every[is_outside] - start
    low, high = np.zeros(len(direction)), np.ones(len(direction))
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        is_valid = np.isfinite(convert(start + middle[:, None] * direction)[:, 0])
        low, high = np.where(is_valid, middle, low), np.where(is_valid, high, middle)
    edge, near = convert(start + low[:, None] * direction), convert(start + 0.98 * low[:, None] * direction)
    out[is_outside] = edge + (edge - near) / (0.02 * np.maximum(low, 1e-6))[:, None] * (1 - low)[:, None]
    return out


def degrees_to_rays(points_deg: Floats) -> Floats:
    """Convert (N, 2) degrees to (N, 3) unit rays in the camera's frame, z forward."""
    angle = np.radians(np.linalg.norm(points_deg, axis=1))
    across = np.radians(points_deg) * np.sinc(angle / np.pi)[:, None]
    return np.column_stack([across, np.cos(angle)])


def _rays_to_degrees(rays: Floats) -> Floats:
    across = np.linalg.norm(rays[:, :2], axis=1)
    angle = np.degrees(np.arctan2(across, rays[:, 2]))
    return np.asarray((angle / np.maximum(across, 1e-12))[:, None] * rays[:, :2], np.float64)
