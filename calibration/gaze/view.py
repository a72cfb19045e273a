"""Converts scene pixels to degrees around the middle, independent of the lens. Pure.

Degrees are azimuthal equidistant: the distance from the optical axis is the true angle, in the direction as in the
picture; x right, y down. The conversion is invertible, also at the edge of a fisheye.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from calibration.camera import CameraModel, angles_deg, camera_from_dict
from calibration.errors import CalibrationError

Array = NDArray[np.float64]

WIDTH_PER_DEGREE = 0.01
"""Share of the picture's width per degree, without a camera model: Neon has 15.6 px of 1600."""
_BISECTIONS = 24
_SMALL_DEG, _MARGIN_PX = 0.01, 100.0


class FieldView(Protocol):
    """Converts between pixels and degrees."""

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) px."""

    @property
    def is_exact(self) -> bool:
        """Whether it uses a camera model."""

    def to_degrees(self, points_px: ArrayLike) -> Array:
        """Convert (N, 2) px, also outside the picture, to (N, 2) degrees."""

    def to_pixels(self, points_deg: ArrayLike) -> Array:
        """Convert (N, 2) degrees to (N, 2) px, also outside the picture."""

    def angles_between_deg(self, here_deg: ArrayLike, there_deg: ArrayLike) -> Array:
        """Compute the (N,) true angles between pairs of positions in degrees."""

    def px_per_degree(self, at_px: ArrayLike) -> Array:
        """Compute the (N,) pixels per degree at (N, 2) px."""

    def to_dict(self) -> dict[str, Any]:
        """Convert it to JSON values; `view_from_dict` reads them."""


@dataclass(frozen=True, slots=True)
class FlatView:
    """A view that has no camera model: a constant number of pixels per degree, which ignores the lens."""

    size: tuple[int, int]
    is_exact: bool = False

    @property
    def _centre(self) -> Array:
        return (np.array(self.size) - 1) / 2

    @property
    def _px_per_degree(self) -> float:
        return self.size[0] * WIDTH_PER_DEGREE

    def to_degrees(self, points_px: ArrayLike) -> Array:
        """Convert (N, 2) px to (N, 2) degrees."""
        return np.asarray((np.asarray(points_px, np.float64) - self._centre) / self._px_per_degree)

    def to_pixels(self, points_deg: ArrayLike) -> Array:
        """Convert (N, 2) degrees to (N, 2) px."""
        return np.asarray(np.asarray(points_deg, np.float64) * self._px_per_degree + self._centre)

    def angles_between_deg(self, here_deg: ArrayLike, there_deg: ArrayLike) -> Array:
        """Compute the (N,) distances."""
        return np.asarray(np.linalg.norm(np.asarray(here_deg) - np.asarray(there_deg), axis=-1), np.float64)

    def px_per_degree(self, at_px: ArrayLike) -> Array:
        """Repeat the constant, (N,)."""
        return np.full(len(np.asarray(at_px)), self._px_per_degree)

    def to_dict(self) -> dict[str, Any]:
        """Convert it to JSON values."""
        return {"size": list(self.size)}


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
    def _principal_point(self) -> Array:
        return np.array([self.camera.cx, self.camera.cy])

    def to_degrees(self, points_px: ArrayLike) -> Array:
        """Convert (N, 2) px to (N, 2) degrees."""
        points = np.asarray(points_px, np.float64)
        out = _rays_to_degrees(self.camera.unproject(points))
        is_outside = np.isnan(out[:, 0]) & np.isfinite(points).all(1)
        if is_outside.any():
            out[is_outside] = self._extrapolate(points[is_outside], self._principal_point, self._degrees_inside)
        return out

    def to_pixels(self, points_deg: ArrayLike) -> Array:
        """Convert (N, 2) degrees to (N, 2) px."""
        points = np.asarray(points_deg, np.float64)
        out = self._pixels_inside(points)
        is_outside = np.isnan(out[:, 0]) & np.isfinite(points).all(1)
        if is_outside.any():
            out[is_outside] = self._extrapolate(points[is_outside], np.zeros(2), self._pixels_inside)
        return out

    def _degrees_inside(self, points_px: Array) -> Array:
        return _rays_to_degrees(self.camera.unproject(points_px))

    def _pixels_inside(self, points_deg: Array) -> Array:
        return self.camera.project(degrees_to_rays(points_deg))

    def _extrapolate(self, points: Array, start: Array, convert: Any) -> Array:
        """Extrapolate linearly from the outermost valid place on the line from the middle."""
        low, high = np.zeros(len(points)), np.ones(len(points))
        for _ in range(_BISECTIONS):
            half = (low + high) / 2
            is_known = np.isfinite(convert(start + half[:, None] * (points - start))[:, 0])
            low, high = np.where(is_known, half, low), np.where(is_known, high, half)
        edge = convert(start + low[:, None] * (points - start))
        near = convert(start + 0.98 * low[:, None] * (points - start))
        return np.asarray(edge + (edge - near) / (0.02 * np.maximum(low, 1e-6))[:, None] * (1 - low)[:, None])

    def angles_between_deg(self, here_deg: ArrayLike, there_deg: ArrayLike) -> Array:
        """Compute the (N,) angles between the rays."""
        return angles_deg(
            degrees_to_rays(np.asarray(here_deg, np.float64)), degrees_to_rays(np.asarray(there_deg, np.float64))
        )

    def px_per_degree(self, at_px: ArrayLike) -> Array:
        """Compute the (N,) mean over directions; outside the picture, of its nearest place."""
        points = np.clip(np.asarray(at_px, np.float64), 0, np.array(self.size) - 1.0)
        rays = self.camera.unproject(points)
        upright = np.where(np.abs(rays[:, 1:2]) < 0.9, [[0.0, 1.0, 0.0]], [[1.0, 0.0, 0.0]])
        tangent = np.cross(rays, upright)
        tangent /= np.linalg.norm(tangent, axis=1)[:, None]
        other_tangent = np.cross(rays, tangent)
        a, b = (
            (self._project_shifted(rays, direction) - self._project_shifted(rays, -direction)) / (2 * _SMALL_DEG)
            for direction in (tangent, other_tangent)
        )
        found = np.sqrt(np.abs(a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]))
        return np.where(np.isfinite(found) & (found > 0), found, self.camera.px_per_degree())

    def _project_shifted(self, rays: Array, direction: Array) -> Array:
        """Project the rays after a small rotation towards perpendicular unit vectors, (N, 2) px."""
        return self.camera.project(rays + np.radians(_SMALL_DEG) * direction, margin_px=_MARGIN_PX)

    def to_dict(self) -> dict[str, Any]:
        """Convert it to JSON values."""
        return {"camera": self.camera.to_dict()}


def view_from_dict(fields: dict[str, Any]) -> FieldView:
    """Parse the result of `to_dict`; raises `CalibrationError`."""
    if "camera" in fields:
        return CameraView(camera_from_dict(fields["camera"]))
    try:
        wide, high = (int(side) for side in fields["size"])
    except (KeyError, TypeError, ValueError):
        raise CalibrationError("the view has neither a camera nor a size; calibrate again") from None
    return FlatView((wide, high))


def degrees_to_rays(points_deg: Array) -> Array:
    """Convert (N, 2) degrees to (N, 3) unit rays in the camera's frame, z forward."""
    angle = np.radians(np.linalg.norm(points_deg, axis=1))
    across = np.radians(points_deg) * np.sinc(angle / np.pi)[:, None]
    return np.column_stack([across, np.cos(angle)])


def _rays_to_degrees(rays: Array) -> Array:
    across = np.linalg.norm(rays[:, :2], axis=1)
    angle = np.degrees(np.arctan2(across, rays[:, 2]))
    ways = rays[:, :2] / np.maximum(across, 1e-12)[:, None]
    return np.asarray(angle[:, None] * ways, np.float64)
