"""Simulates a depth camera's view of boxes before a wall, with noise, holes, inexact masks and the true masks."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from calibration import CameraModel, RigidTransform
from calibration.objects.cloud import compute_ray_grid


@dataclass(frozen=True, slots=True, eq=False)
class Solid:
    """Holds a box: camera_from_box, and its sides along its own x, y, z, m."""

    pose: RigidTransform
    sides_m: tuple[float, float, float]

    @property
    def visible(self) -> NDArray[np.bool_]:
        """Return (3,), per axis whether one of its two faces is visible, and with it the length of the other sides."""
        facing = np.abs(self.pose.rotation.T @ self.pose.translation_m) > np.array(self.sides_m) / 2
        return np.asarray(facing)


@dataclass(frozen=True, slots=True, eq=False)
class RenderedView:
    """Holds a view. depth: (H, W) float32 m with noise and holes, 0 for none. mask: too large; exact: the true mask."""

    depth: NDArray[np.float32]
    mask: NDArray[np.bool_]
    exact: NDArray[np.bool_]


def render_view(
    camera: CameraModel,
    solid: Solid,
    rng: np.random.Generator,
    *,
    wall_m: float = 1.5,
    noise_m: float = 0.002,
    holes: float = 0.02,
    bleed_px: int = 4,
    floor: RigidTransform | None = None,
) -> RenderedView:
    """Render the view from the origin. holes: share without depth, half of it in patches; depth blurs at edges.

    floor: camera_from_floor, which the box stands on: the plane z = 0, before the wall.
    """
    wide, high = camera.size
    rays = np.dstack([compute_ray_grid(camera), np.ones((high, wide))]).reshape(-1, 3)
    rotation = solid.pose.rotation.T
    origin, along = rotation @ -solid.pose.translation_m, rays @ rotation.T
    half = np.array(solid.sides_m) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        near, far = (-half - origin) / along, (half - origin) / along
    enter, leave = np.minimum(near, far).max(1), np.maximum(near, far).min(1)
    hit = (enter < leave) & (enter > 0)
    behind = np.full(len(rays), wall_m)
    if floor is not None:
        up = floor.rotation[:, 2]
        with np.errstate(divide="ignore"):
            ground = (up @ floor.translation_m) / (rays @ up)
        behind = np.where(ground > 0, np.minimum(ground, wall_m), wall_m)
    z = np.where(hit, enter, behind).reshape(high, wide)
    exact = hit.reshape(high, wide)
    # Stereo and structured light smear edges over a pixel or two: points between object and wall.
    edge = cv2.morphologyEx(exact.astype(np.uint8), cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)) > 0
    smeared = cv2.blur(z, (3, 3))
    z = np.where(edge & (rng.random(z.shape) < 0.3), smeared, z)
    depth = z + rng.normal(0, noise_m, z.shape)
    patches = cv2.GaussianBlur(rng.normal(size=z.shape), (0, 0), 4)
    depth[patches > np.quantile(patches, 1 - holes / 2)] = 0
    depth[rng.random(z.shape) < holes / 2] = 0
    mask = exact if not bleed_px else cv2.dilate(exact.astype(np.uint8), _disc(bleed_px)) > 0
    return RenderedView(depth.astype(np.float32), mask, exact)


def _disc(radius: int) -> NDArray[np.uint8]:
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1,) * 2), np.uint8)
