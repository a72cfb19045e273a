"""Computes convex hulls of calibrated points, in degrees, and distances beyond them. Pure."""

from __future__ import annotations

import cv2
import numpy as np

from calibration.lens import Floats


def compute_hull(points: Floats) -> Floats:
    """Compute the (H, 2) corners of the convex hull of (N, 2) points, in order."""
    found = cv2.convexHull(np.asarray(points, np.float32).reshape(-1, 1, 2), returnPoints=False)
    return np.asarray(np.asarray(points, np.float64)[np.ravel(found)])


def project_onto_hull(hull: Floats, points: Floats) -> tuple[Floats, Floats]:
    """Project (N, 2) points onto the hull; also returns their (N,) distances, 0 inside.

    A hull of one or two corners is a point or a line.
    """
    starts, edges = hull, np.roll(hull, -1, axis=0) - hull
    length2 = np.maximum((edges**2).sum(1), 1e-18)
    from_start = points[:, None, :] - starts
    along = np.clip((from_start * edges).sum(2) / length2, 0.0, 1.0)
    feet = starts + along[..., None] * edges  # (N, H, 2): the nearest point of every edge
    distances = np.linalg.norm(points[:, None, :] - feet, axis=2)
    best = distances.argmin(1)
    rows = np.arange(len(points))
    near, distance = feet[rows, best], distances[rows, best]
    if len(hull) >= 3:
        side = edges[:, 0] * from_start[..., 1] - edges[:, 1] * from_start[..., 0]
        inside = np.asarray((side >= 0).all(1) | (side <= 0).all(1))
        near = np.where(inside[:, None], points, near)
        distance = np.where(inside, 0.0, distance)
    return near, distance


def compute_min_width(hull: Floats) -> float:
    """Compute the smallest width of a hull, which is 0 for collinear points."""
    if len(hull) < 3:
        return 0.0
    edges = np.roll(hull, -1, axis=0) - hull
    normals = np.stack([-edges[:, 1], edges[:, 0]], 1) / np.maximum(np.linalg.norm(edges, axis=1), 1e-18)[:, None]
    across = hull @ normals.T
    return float((across.max(0) - across.min(0)).min())
