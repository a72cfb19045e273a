"""Depth of one camera as another camera beside it would have measured it: reprojection with a z-buffer."""

from __future__ import annotations

import math

import numpy as np

from calibration.camera import Camera
from calibration.errors import CalibrationError
from calibration.objects.cloud import Depth, sight_lines
from calibration.rigid import Rigid


def registered(depth: Depth, depth_camera: Camera, camera: Camera, camera_from_depth: Rigid) -> Depth:
    """(H, W) float32 m in `camera`'s picture, 0 for none; of several points in one pixel the nearest stands.

    depth: (h, w) float32 m along the depth camera's axis, 0 or NaN for none. Where the camera has more pixels than
    the depth camera, a point covers as many as lie between it and the next, so that what is behind does not shine
    through. Each point keeps its own depth along the camera's axis.
    """
    if depth.shape[::-1] != depth_camera.size:
        raise CalibrationError(
            f"depth of {depth.shape[1]} x {depth.shape[0]}, its camera was calibrated at "
            f"{depth_camera.size[0]} x {depth_camera.size[1]}; give the file for that resolution"
        )
    lines = sight_lines(depth_camera).reshape(-1, 2)
    z = depth.ravel()
    there = np.flatnonzero((z > 0) & np.isfinite(z) & np.isfinite(lines[:, 0]))
    points = np.column_stack([lines[there] * z[there, None], z[there]])
    points = camera_from_depth.apply(points)
    points = points[points[:, 2] > 1e-3]
    splat = max(1, math.ceil(math.sqrt(camera.fx * camera.fy / (depth_camera.fx * depth_camera.fy)) - 0.05))
    pixels = camera.project(points, margin_px=splat)
    seen = np.isfinite(pixels[:, 0])
    pixels, far = pixels[seen], points[seen, 2].astype(np.float32)
    order = np.argsort(-far)  # the nearest is written last
    corner, far = np.rint(pixels[order] - (splat - 1) / 2).astype(np.int64), far[order]
    out = np.full((camera.size[1], camera.size[0]), np.inf, np.float32)
    for right in range(splat):
        for down in range(splat):
            x, y = corner[:, 0] + right, corner[:, 1] + down
            inside = (x >= 0) & (x < camera.size[0]) & (y >= 0) & (y < camera.size[1])
            layer = np.full_like(out, np.inf)
            layer[y[inside], x[inside]] = far[inside]
            np.minimum(out, layer, out=out)
    out[np.isinf(out)] = 0
    return out
