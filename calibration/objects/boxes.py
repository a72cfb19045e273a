"""Fits oriented boxes to points: a quick one for every frame, and the smallest one for longer fixations.

A camera sees an object's surface on one side, and the box is of that: the far side is not guessed.

**Smallest**: for a given direction the best box with a side along it is its height times the smallest rectangle round
the projected points (rotating calipers, Toussaint 1983). Directions are sampled on a grid and the best are refined, on
points that are extreme in one of many directions (Barequet & Har-Peled, "Efficiently approximating the minimum-volume
bounding box of a point set in three dimensions", 2001). Two faces of a box at a right angle have many boxes of the same
volume round them (any that shares the edge across them), so that among those nearly as small as the smallest the one
is taken on whose faces the points lie (the closeness of Zhang et al., "Efficient L-shape fitting", 2017).
**Quick**: the same among few directions: principal axes, and the normals of planes that many points lie in.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from calibration.lens import Floats
from calibration.objects.cloud import PointCloud, Points
from calibration.rigid import RigidTransform

_MAX_VOLUME_RATIO = 1.1
"""Boxes up to this much larger than the smallest are ranked by the points' distance to their faces, too."""
_CLOSENESS_WEIGHT = 0.5
"""Weight of that distance; 0 is the volume alone. Half the distance compensates for 1.4 times the volume."""
_HYSTERESIS = 0.85
"""Factor on the volume of the previous picture's box, which prevents flicker between equal boxes."""
_PLANE_HYPOTHESES = 64
_TRIM_SHARE = 0.00015


@dataclass(frozen=True, slots=True, eq=False)
class OrientedBox:
    """A box that may have any orientation.

    pose: camera_from_box, at its centre, x along the longest side, z the shortest. extents_m: (3,), longest first.
    """

    pose: RigidTransform
    extents_m: Floats

    @property
    def corners(self) -> Floats:
        """The corners, (8, 3) m; the last coordinate's sign changes fastest."""
        signs = np.stack(np.meshgrid((-1, 1), (-1, 1), (-1, 1), indexing="ij"), axis=-1).reshape(8, 3)
        return self.pose.apply(signs * self.extents_m / 2)


def fit_quick_box(cloud: PointCloud, last_rotation: Floats | None = None) -> OrientedBox:
    """Fit a box along one of a few likely directions; within a few per cent of the smallest.

    last_rotation: (3, 3) camera_from_box of the same object in the previous picture, preferred if nearly as good.
    """
    return _fit_box(cloud, last_rotation, extreme_directions=48)


def fit_minimal_box(cloud: PointCloud, last_rotation: Floats | None = None) -> OrientedBox:
    """Fit the box of (nearly) the smallest volume; see the module. last_rotation: as in `fit_quick_box`."""
    return _fit_box(cloud, last_rotation, extreme_directions=128, grid_directions=80, refined=3)


def fit_box_along(cloud: PointCloud, axes: Floats) -> OrientedBox:
    """Fit the box whose sides are along (3, 3) orthonormal rows."""
    return _fit_extents(cloud, axes, cloud.voxel_centroids.mean(0, dtype=np.float64))


def _fit_box(
    cloud: PointCloud,
    last_rotation: Floats | None,
    *,
    extreme_directions: int,
    grid_directions: int = 0,
    refined: int = 0,
) -> OrientedBox:
    """Fit the best box along principal axes, normals of planes and a grid, after refining some."""
    centre = cloud.voxel_centroids.mean(0, dtype=np.float64)
    cells = cloud.voxel_centroids - centre.astype(np.float32)
    sample = cells[:: 1 + len(cells) // 1000]
    points = _extreme_points(cells, extreme_directions)
    min_side_m = max(cloud.noise_m, 0.1 * cloud.voxel_m)  # so that flat objects have a volume, too
    normals = _plane_normals(sample, _plane_tolerance_m(cloud))
    directions = np.concatenate([_principal_axes(cells), normals, _hemisphere_directions(grid_directions)])
    candidates = _boxes_along(points, directions, min_side_m)
    best = sorted(candidates, key=lambda box: box.volume_m3)[:refined]
    candidates += [_refine_direction(points, start, min_side_m) for start in best]
    if last_rotation is not None:
        previous = _boxes_along(points, last_rotation.T, min_side_m)
        candidates += [_BoxCandidate(box.axes, _HYSTERESIS * box.volume_m3) for box in previous]
    return _fit_extents(cloud, _select_axes(sample, candidates), centre)


def _plane_tolerance_m(cloud: PointCloud) -> float:
    """Compute the tolerance of a plane's cells: twice the noise of their mean, at least a quarter of a cell."""
    each = max(1.0, len(cloud.points) / max(1, len(cloud.voxel_centroids)))
    return max(2 * cloud.noise_m / math.sqrt(each), 0.25 * cloud.voxel_m, 0.5 * cloud.noise_m)


@functools.lru_cache(maxsize=4)
def _hemisphere_directions(count: int) -> Floats:
    """Spread (count, 3) unit vectors evenly over half a sphere: a Fibonacci lattice."""
    turn = np.arange(count) * math.pi * (3 - math.sqrt(5))
    z = (np.arange(count) + 0.5) / count
    ring = np.sqrt(1 - z * z)
    return np.column_stack([ring * np.cos(turn), ring * np.sin(turn), z])


def _extreme_points(points: Points, directions: int) -> Floats:
    """Select the points that are extreme along one of `count` lines: nearly the corners of their hull."""
    along = _hemisphere_directions(directions).astype(np.float32) @ points.T
    outermost = np.unique(np.concatenate([along.argmax(1), along.argmin(1)]))
    return np.asarray(points[outermost], np.float64)


def _principal_axes(points: Points) -> Floats:
    return np.asarray(np.linalg.eigh((points.T @ points).astype(np.float64))[1].T)


def _plane_normals(points: Points, tolerance: float) -> Floats:
    """Find (0 to 2, 3) normals of planes with many points: the best of random planes, then refined.

    As Fischler & Bolles, RANSAC, 1981; with a fixed seed, so that results are reproducible.
    """
    rng = np.random.default_rng(1)
    normals: list[Floats] = []
    total = len(points)
    for _ in range(2):
        if len(points) < max(12, 0.15 * total):
            break
        a, b, c = points[rng.integers(len(points), size=(3, _PLANE_HYPOTHESES))]
        cross = np.cross(b - a, c - a)
        length = np.linalg.norm(cross, axis=1)
        cross, a = cross[length > 1e-12] / length[length > 1e-12, None], a[length > 1e-12]
        if not len(cross):
            break
        near = np.abs(points @ cross.T - (a * cross).sum(1)) < tolerance
        inliers = near[:, int(near.sum(0).argmax())]
        for _ in range(2):
            middle = points[inliers].mean(0)
            away = points[inliers] - middle
            normal = np.linalg.eigh((away.T @ away).astype(np.float64))[1][:, 0]
            inliers = np.abs((points - middle) @ normal.astype(np.float32)) < tolerance
            if np.count_nonzero(inliers) < 6:
                break
        if np.count_nonzero(inliers) < 0.15 * total:
            break
        normals.append(normal)
        points = points[~inliers]
    return np.array(normals, np.float64).reshape(-1, 3)


@dataclass(frozen=True, slots=True, eq=False)
class _BoxCandidate:
    """A box that is a candidate: axes are rows; its volume has `min_side_m` added to each side."""

    axes: Floats
    volume_m3: float


def _boxes_along(points: Floats, directions: Floats, min_side_m: float) -> list[_BoxCandidate]:
    """Fit for each of (K, 3) unit directions the smallest box with a side along it."""
    first, second = _perpendiculars(directions)
    along = points @ directions.T
    heights = along.max(0) - along.min(0) + min_side_m
    scale = 1 / max(float(np.abs(points).max()), 1e-9)  # cv2 treats sides of micrometres as points
    flat = np.stack([(first * scale) @ points.T, (second * scale) @ points.T], axis=2).astype(np.float32)
    candidates = []
    for number, (normal, a, b, height) in enumerate(zip(directions, first, second, heights.tolist(), strict=True)):
        _, (length, breadth), degrees = cv2.minAreaRect(flat[number])
        angle = math.radians(degrees)
        cosine, sine = math.cos(angle), math.sin(angle)
        axes = np.array((cosine * a + sine * b, cosine * b - sine * a, normal))
        candidates.append(_BoxCandidate(axes, (length / scale + min_side_m) * (breadth / scale + min_side_m) * height))
    return candidates


def _perpendiculars(directions: Floats) -> tuple[Floats, Floats]:
    """Compute two unit vectors each, perpendicular to (K, 3) unit directions and each other, right-handed."""
    helper = np.where(np.abs(directions[:, :1]) < 0.7, np.array([[1.0, 0, 0]]), np.array([[0, 1.0, 0]]))
    first = helper - (helper * directions).sum(1, keepdims=True) * directions
    first /= np.linalg.norm(first, axis=1, keepdims=True)
    return first, np.cross(directions, first)


def _refine_direction(points: Floats, candidate: _BoxCandidate, min_side_m: float) -> _BoxCandidate:
    """Tilt the direction by decreasing steps while the box gets smaller."""
    best, step = candidate, math.radians(6)
    while step > math.radians(0.3):
        x, y, z = best.axes
        tilted = z + math.tan(step) * np.array((x, -x, y, -y))
        smallest = min(_boxes_along(points, tilted * math.cos(step), min_side_m), key=lambda box: box.volume_m3)
        if smallest.volume_m3 < best.volume_m3:
            best = smallest
        else:
            step /= 2
    return best


def _select_axes(cells: Points, candidates: Sequence[_BoxCandidate]) -> Floats:
    """Select the axes (rows) of the smallest box, or of a hardly larger one whose faces fit much closer."""
    min_volume_m3 = min(box.volume_m3 for box in candidates)

    def cost(box: _BoxCandidate) -> float:
        along = box.axes.astype(np.float32) @ cells.T
        low, high = along.min(1, keepdims=True), along.max(1, keepdims=True)
        distance = float(np.minimum(along - low, high - along).min(0).mean())
        return float(box.volume_m3 * (distance + 1e-6) ** _CLOSENESS_WEIGHT)

    return min((box for box in candidates if box.volume_m3 <= _MAX_VOLUME_RATIO * min_volume_m3), key=cost).axes


def _fit_extents(cloud: PointCloud, axes: Floats, centre: Floats) -> OrientedBox:
    """Fit the box along these axes (rows), with sides from all pixels: cells end too early."""
    pixels = cloud.points[:: 1 + len(cloud.points) // 12_000]
    along = (pixels - centre.astype(np.float32)) @ axes.T.astype(np.float32)
    sigmas_m = cloud.noise_m * np.abs(axes @ centre) / max(float(np.linalg.norm(centre)), 1e-9)
    columns = zip(np.ascontiguousarray(along.T), sigmas_m.tolist(), strict=True)
    ends = np.array([_find_ends(column, cloud.noise_m, sigma_m) for column, sigma_m in columns])
    extents = ends[:, 1] - ends[:, 0]
    order = np.argsort(-extents)
    rotation = axes[order].T
    if np.linalg.det(rotation) < 0:
        rotation[:, 2] *= -1
    return OrientedBox(RigidTransform(rotation, centre + axes.T @ ends.mean(1)), extents[order])


def _find_ends(along: NDArray[np.float32], noise_m: float, sigma_m: float) -> tuple[float, float]:
    """Find both ends of the points along one axis, along which their noise is sigma_m.

    Points of a face seen from the front scatter around it by their noise, and the middle of that layer is the end,
    not its outermost point. Elsewhere the surface just ends; an even row of points extends with noise by 0.4 sigma
    beyond its end (the mean of the positive half of a normal error).
    """
    count = len(along)
    ordered = np.sort(along)
    trim = int(_TRIM_SHARE * count)
    low, high = float(ordered[trim]), float(ordered[count - 1 - trim])
    extent, layer_m = high - low, 6 * noise_m
    if extent <= 2 * layer_m:  # about as thin as its noise, which is subtracted from its spread
        spread = float(ordered[int(0.84 * (count - 1))] - ordered[int(0.16 * (count - 1))]) / 2
        half = math.sqrt(3 * max(0.0, spread * spread - noise_m * noise_m))  # of a uniform distribution
        return (low + high) / 2 - half, (low + high) / 2 + half
    min_count = max(0.05, 4 * layer_m / extent) * count
    lower_end = _find_lower_end(ordered, low, layer_m, min_count, sigma_m)
    return lower_end, -_find_lower_end(-ordered[::-1], -high, layer_m, min_count, sigma_m)


def _find_lower_end(
    ordered: NDArray[np.float32], low: float, layer_m: float, min_count: float, sigma_m: float
) -> float:
    inside = int(np.searchsorted(ordered, low + layer_m))
    if inside > min_count:
        return float(ordered[inside // 2])
    row = max(4 * sigma_m, 0.5 * layer_m)  # beyond the end, as long as this is all of the row
    first, last = np.searchsorted(ordered, (low + 2 * sigma_m, low + 2 * sigma_m + row)).tolist()
    beyond = int(0.4 * (last - first) / row * sigma_m)
    # Noise moves hardly any point by more than 2.5 sigma; a tapering end is not shortened by more.
    return min(max(low, float(ordered[min(beyond, len(ordered) - 1)])), low + 2.5 * sigma_m)
