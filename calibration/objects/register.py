"""Registers depth to another camera beside the depth camera: reprojection with a z-buffer."""

from __future__ import annotations

import functools
import math

import numpy as np
from numpy.typing import NDArray

from calibration.camera import CameraModel
from calibration.errors import CalibrationError
from calibration.lens import Floats
from calibration.objects.cloud import Depth, compute_ray_grid
from calibration.rigid import RigidTransform


def register_depth(
    depth: Depth,
    depth_camera: CameraModel,
    camera: CameraModel,
    camera_from_depth: RigidTransform,
    within: tuple[int, int, int, int] | None = None,
) -> Depth:
    """Register a depth image to another camera's picture: (H, W) float32 m, 0 for none.

    The nearest of several points in one pixel wins. depth: (h, w) float32 m along the depth camera's axis, 0 or NaN
    for none. Where the camera has more pixels than the depth camera, a point covers all pixels up to the next point,
    which occludes the background. Each point keeps its own depth along the camera's axis. within: x0, y0, x1, y1 px,
    the last two exclusive: the required region; the rest may stay 0, which is many times as fast for a small one.
    """
    if depth.shape[::-1] != depth_camera.size:
        raise CalibrationError(
            f"depth of {depth.shape[1]} x {depth.shape[0]}, its camera was calibrated at "
            f"{depth_camera.size[0]} x {depth_camera.size[1]}; give the file for that resolution"
        )
    ray_grid = compute_ray_grid(depth_camera).reshape(-1, 2)
    z = depth.ravel()
    valid = np.flatnonzero((z > 0) & np.isfinite(z) & np.isfinite(ray_grid[:, 0]))
    points = np.empty((len(valid), 3), np.float32)
    points[:, 2] = z.take(valid)
    points[:, :2] = ray_grid.take(valid, axis=0) * points[:, 2:]
    rotation, translation = (
        part.astype(np.float32) for part in (camera_from_depth.rotation, camera_from_depth.translation_m)
    )
    points = points @ rotation.T + translation
    points = points[points[:, 2] > 1e-3]
    splat = max(1, math.ceil(math.sqrt(camera.fx * camera.fy / (depth_camera.fx * depth_camera.fy)) - 0.05))
    if within is not None:
        points = points[_may_project_inside(points, camera, within, splat)]
    pixels = camera.project(points.astype(np.float64), margin_px=splat)
    is_visible = np.isfinite(pixels[:, 0])
    return _splat_nearest(pixels[is_visible], points[is_visible, 2], camera.size, splat)


def _splat_nearest(pixels: Floats, distance: Depth, size: tuple[int, int], splat: int) -> Depth:
    """Write each point's distance to a square of `splat` px, where it is the nearest; (H, W), 0 for none."""
    order = np.argsort(-distance)  # the nearest is written last
    corner, distance = np.rint(pixels[order] - (splat - 1) / 2).astype(np.int64), distance[order]
    out = np.full(size[::-1], np.inf, np.float32)
    for right in range(splat):
        for down in range(splat):
            x, y = corner[:, 0] + right, corner[:, 1] + down
            inside = (x >= 0) & (x < size[0]) & (y >= 0) & (y < size[1])
            layer = np.full_like(out, np.inf)
            layer[y[inside], x[inside]] = distance[inside]
            np.minimum(out, layer, out=out)
    out[np.isinf(out)] = 0
    return out


def _may_project_inside(
    points: NDArray[np.float32], camera: CameraModel, within: tuple[int, int, int, int], splat: int
) -> NDArray[np.bool_]:
    """Select the (N,) points that may fall into the region, by their undistorted place and the largest distortion."""
    margin = _max_distortion_px(camera) + splat + 1
    x = points[:, 0] / points[:, 2] * np.float32(camera.fx) + np.float32(camera.cx)
    y = points[:, 1] / points[:, 2] * np.float32(camera.fy) + np.float32(camera.cy)
    x0, y0, x1, y1 = within
    return np.asarray((x > x0 - margin) & (x < x1 + margin) & (y > y0 - margin) & (y < y1 + margin))


@functools.lru_cache(maxsize=4)
def _max_distortion_px(camera: CameraModel) -> float:
    """Compute the largest distortion, px; infinite where some pixels have no ray before the camera."""
    ideal = compute_ray_grid(camera).reshape(-1, 2) * (camera.fx, camera.fy) + (camera.cx, camera.cy)
    shifts = np.linalg.norm(ideal - camera.pixel_grid(), axis=1)
    return float(shifts.max()) if np.isfinite(shifts).all() else math.inf
