"""Pixels of the scene picture as degrees round its middle, so that a lens does not bend what is fitted. Pure.

Degrees are azimuthal equidistant: the way from the optical axis is its true angle, in the direction in which it lies in
the picture; x right, y down. Nothing is lost on the way and back, also at the edge of a fisheye.
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
"""Share of the picture's width that one degree takes up, where no camera model says so: Neon has 15.6 px of 1600."""
_HALVINGS = 24
_SMALL_DEG, _MARGIN_PX = 0.01, 100.0


class FieldView(Protocol):
    """How pixels and degrees belong together."""

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) px."""
        ...

    @property
    def exact(self) -> bool:
        """Whether a camera model stands behind it."""
        ...

    def degrees(self, points_px: ArrayLike) -> Array:
        """(N, 2) px, also outside the picture, to (N, 2) degrees."""
        ...

    def pixels(self, points_deg: ArrayLike) -> Array:
        """(N, 2) degrees to (N, 2) px, also outside the picture."""
        ...

    def between_deg(self, here_deg: ArrayLike, there_deg: ArrayLike) -> Array:
        """(N,) the true angles between pairs of places given in degrees."""
        ...

    def px_per_degree(self, at_px: ArrayLike) -> Array:
        """(N,) how many pixels one degree covers at (N, 2) px."""
        ...

    def to_dict(self) -> dict[str, Any]:
        """Plain values for a file; `view_from_dict` reads them."""
        ...


@dataclass(frozen=True, slots=True)
class FlatView:
    """No camera model is known: every degree has the same number of pixels, a guess that a lens makes wrong."""

    size: tuple[int, int]
    exact: bool = False

    @property
    def _middle(self) -> Array:
        return (np.array(self.size) - 1) / 2

    @property
    def _deg_px(self) -> float:
        return self.size[0] * WIDTH_PER_DEGREE

    def degrees(self, points_px: ArrayLike) -> Array:
        """(N, 2) px to (N, 2) degrees."""
        return np.asarray((np.asarray(points_px, np.float64) - self._middle) / self._deg_px)

    def pixels(self, points_deg: ArrayLike) -> Array:
        """(N, 2) degrees to (N, 2) px."""
        return np.asarray(np.asarray(points_deg, np.float64) * self._deg_px + self._middle)

    def between_deg(self, here_deg: ArrayLike, there_deg: ArrayLike) -> Array:
        """(N,) distances."""
        return np.asarray(np.linalg.norm(np.asarray(here_deg) - np.asarray(there_deg), axis=-1), np.float64)

    def px_per_degree(self, at_px: ArrayLike) -> Array:
        """(N,) the same everywhere."""
        return np.full(len(np.asarray(at_px)), self._deg_px)

    def to_dict(self) -> dict[str, Any]:
        """The size."""
        return {"size": list(self.size)}


@dataclass(frozen=True, slots=True)
class CameraView:
    """Through a calibrated camera. Beyond the picture it goes on evenly, as steep as at the edge."""

    camera: CameraModel
    exact: bool = True

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) px."""
        return self.camera.size

    @property
    def _middle(self) -> Array:
        return np.array([self.camera.cx, self.camera.cy])

    def degrees(self, points_px: ArrayLike) -> Array:
        """(N, 2) px to (N, 2) degrees."""
        points = np.asarray(points_px, np.float64)
        out = _of_rays(self.camera.unproject(points))
        lost = np.isnan(out[:, 0]) & np.isfinite(points).all(1)
        if lost.any():
            out[lost] = self._beyond(points[lost], self._middle, self._degrees_inside)
        return out

    def pixels(self, points_deg: ArrayLike) -> Array:
        """(N, 2) degrees to (N, 2) px."""
        points = np.asarray(points_deg, np.float64)
        out = self._pixels_inside(points)
        lost = np.isnan(out[:, 0]) & np.isfinite(points).all(1)
        if lost.any():
            out[lost] = self._beyond(points[lost], np.zeros(2), self._pixels_inside)
        return out

    def _degrees_inside(self, points_px: Array) -> Array:
        return _of_rays(self.camera.unproject(points_px))

    def _pixels_inside(self, points_deg: Array) -> Array:
        return self.camera.project(rays_of(points_deg))

    def _beyond(self, points: Array, middle: Array, inside: Any) -> Array:
        """Go out from the middle to the last place that is known, and on from there in a straight line."""
        low, high = np.zeros(len(points)), np.ones(len(points))
        for _ in range(_HALVINGS):
            half = (low + high) / 2
            known = np.isfinite(inside(middle + half[:, None] * (points - middle))[:, 0])
            low, high = np.where(known, half, low), np.where(known, high, half)
        edge = inside(middle + low[:, None] * (points - middle))
        near = inside(middle + 0.98 * low[:, None] * (points - middle))
        return np.asarray(edge + (edge - near) / (0.02 * np.maximum(low, 1e-6))[:, None] * (1 - low)[:, None])

    def between_deg(self, here_deg: ArrayLike, there_deg: ArrayLike) -> Array:
        """(N,) the angles between the rays."""
        return angles_deg(rays_of(np.asarray(here_deg, np.float64)), rays_of(np.asarray(there_deg, np.float64)))

    def px_per_degree(self, at_px: ArrayLike) -> Array:
        """(N,) mean over directions; for what lies outside the picture, of the picture's nearest place."""
        points = np.clip(np.asarray(at_px, np.float64), 0, np.array(self.size) - 1.0)
        rays = self.camera.unproject(points)
        upright = np.where(np.abs(rays[:, 1:2]) < 0.9, [[0.0, 1.0, 0.0]], [[1.0, 0.0, 0.0]])
        side = np.cross(rays, upright)
        side /= np.linalg.norm(side, axis=1)[:, None]
        over = np.cross(rays, side)
        a, b = ((self._ahead(rays, way) - self._ahead(rays, -way)) / (2 * _SMALL_DEG) for way in (side, over))
        found = np.sqrt(np.abs(a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]))
        return np.where(np.isfinite(found) & (found > 0), found, self.camera.px_per_degree())

    def _ahead(self, rays: Array, way: Array) -> Array:
        """(N, 2) px a small angle from each ray along a unit vector beside it."""
        return self.camera.project(rays + np.radians(_SMALL_DEG) * way, margin_px=_MARGIN_PX)

    def to_dict(self) -> dict[str, Any]:
        """The camera."""
        return {"camera": self.camera.to_dict()}


def view_from_dict(fields: dict[str, Any]) -> FieldView:
    """Read what `to_dict` wrote; raises `CalibrationError`."""
    if "camera" in fields:
        return CameraView(camera_from_dict(fields["camera"]))
    try:
        wide, high = (int(side) for side in fields["size"])
    except (KeyError, TypeError, ValueError):
        raise CalibrationError("the view has neither a camera nor a size; calibrate again") from None
    return FlatView((wide, high))


def rays_of(points_deg: Array) -> Array:
    """(N, 2) degrees to (N, 3) unit rays in the camera's frame, z forward."""
    angle = np.radians(np.linalg.norm(points_deg, axis=1))
    across = np.radians(points_deg) * np.sinc(angle / np.pi)[:, None]
    return np.column_stack([across, np.cos(angle)])


def _of_rays(rays: Array) -> Array:
    across = np.linalg.norm(rays[:, :2], axis=1)
    angle = np.degrees(np.arctan2(across, rays[:, 2]))
    ways = rays[:, :2] / np.maximum(across, 1e-12)[:, None]
    return np.asarray(angle[:, None] * ways, np.float64)
