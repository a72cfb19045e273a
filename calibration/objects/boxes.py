"""Oriented boxes round points: a quick one for every frame, and the smallest one for things that are looked at longer.

What a camera sees of a thing is its surface on one side, and the box is one of that: the far side is not guessed.

**Smallest**: for a given direction the best box with a side along it is its height times the smallest rectangle round
the projected points (rotating calipers, Toussaint 1983). Directions are tried on a grid and the best are refined, on
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

_NEARLY = 1.1
"""Boxes up to this much larger than the smallest are judged by how close points lie to their faces, too."""
_CLOSENESS = 0.5
"""Its weight: 0 would be the volume alone. Half the distance to the faces makes up for 1.4 times the volume."""
_LAST = 0.85
"""What the volume of the last picture's box is multiplied by, so that boxes do not flicker between equals."""
_PLANES = 64
_TRIM = 0.00015


@dataclass(frozen=True, slots=True, eq=False)
class OrientedBox:
    """pose is camera_from_box: at its centre, x along the longest side, z along the shortest.

    extents_m: (3,) float64, its sides, longest first.
    """

    pose: RigidTransform
    extents_m: Floats

    @property
    def corners(self) -> Floats:
        """(8, 3) m, the last coordinate's sign changing fastest."""
        signs = np.stack(np.meshgrid((-1, 1), (-1, 1), (-1, 1), indexing="ij"), axis=-1).reshape(8, 3)
        return self.pose.apply(signs * self.extents_m / 2)


def quick_box(cloud: PointCloud, last: Floats | None = None) -> OrientedBox:
    """A box along one of the few directions that matter; within a few per cent of the smallest.

    last: (3, 3) camera_from_box of the same thing in the picture before, kept where another box is not clearly better.
    """
    middle, cells, some = _centred(cloud.cells)
    directions = np.concatenate([_principal(cells), _plane_normals(some, _tolerance(cloud))])
    points, floor = _extreme(cells, 48), _floor(cloud)
    tried = _around(points, directions, floor) + _kept(points, last, floor)
    return _fitted(cloud, _closest(some, tried), middle)


def minimal_box(cloud: PointCloud, last: Floats | None = None) -> OrientedBox:
    """The box of (nearly) the smallest volume; see the module. last: as for `quick_box`."""
    middle, cells, some = _centred(cloud.cells)
    points, floor = _extreme(cells, 128), _floor(cloud)
    special = np.concatenate([_principal(cells), _plane_normals(some, _tolerance(cloud))])
    tried = _around(points, np.concatenate([special, _sphere(80)]), floor)
    tried += [_refined(points, start, floor) for start in sorted(tried, key=lambda box: box.volume_m3)[:3]]
    return _fitted(cloud, _closest(some, tried + _kept(points, last, floor)), middle)


def box_along(cloud: PointCloud, axes: Floats) -> OrientedBox:
    """The box with sides along (3, 3) orthonormal rows."""
    return _fitted(cloud, axes, cloud.cells.mean(0, dtype=np.float64))


def _centred(cells: Points) -> tuple[Floats, Points, Points]:
    """The cells' middle; the cells from there; some of them, for what needs no more."""
    middle = cells.mean(0, dtype=np.float64)
    points = cells - middle.astype(np.float32)
    return middle, points, points[:: 1 + len(points) // 1000]


def _floor(cloud: PointCloud) -> float:
    """What is added to each side before volumes are compared, so that flat things have one."""
    return max(cloud.noise_m, 0.1 * cloud.voxel_m)


def _tolerance(cloud: PointCloud) -> float:
    """How far from a plane its cells lie: their mean's noise, twice, but not less than a quarter of a cell."""
    each = max(1.0, len(cloud.pixels) / max(1, len(cloud.cells)))
    return max(2 * cloud.noise_m / math.sqrt(each), 0.25 * cloud.voxel_m, 0.5 * cloud.noise_m)


@functools.lru_cache(maxsize=4)
def _sphere(count: int) -> Floats:
    """(count, 3) unit vectors, evenly spread over half a sphere: a Fibonacci lattice."""
    turn = np.arange(count) * math.pi * (3 - math.sqrt(5))
    z = (np.arange(count) + 0.5) / count
    ring = np.sqrt(1 - z * z)
    return np.column_stack([ring * np.cos(turn), ring * np.sin(turn), z])


def _extreme(points: Points, directions: int) -> Floats:
    """Those of (N, 3) points that lie farthest along one of so many lines: nearly the corners of their hull."""
    along = _sphere(directions).astype(np.float32) @ points.T
    outermost = np.unique(np.concatenate([along.argmax(1), along.argmin(1)]))
    return np.asarray(points[outermost], np.float64)


def _principal(points: Points) -> Floats:
    """(3, 3) rows: the principal axes."""
    return np.asarray(np.linalg.eigh((points.T @ points).astype(np.float64))[1].T)


def _plane_normals(points: Points, tolerance: float) -> Floats:
    """(0 to 2, 3) normals of planes that many of the points lie in: the most popular of random ones, then refined.

    As Fischler & Bolles, RANSAC, 1981; always with the same random numbers, so that the same points give the same.
    """
    rng = np.random.default_rng(1)
    normals: list[Floats] = []
    total = len(points)
    for _ in range(2):
        if len(points) < max(12, 0.15 * total):
            break
        a, b, c = points[rng.integers(len(points), size=(3, _PLANES))]
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
    """A box that was tried: its axes are the rows, the volume has `_floor` added to each side."""

    axes: Floats
    volume_m3: float


def _around(points: Floats, directions: Floats, floor: float) -> list[_BoxCandidate]:
    """For each of (K, 3) unit directions the smallest box with a side along it."""
    first, second = _beside(directions)
    along = points @ directions.T
    heights = along.max(0) - along.min(0) + floor
    scale = 1 / max(float(np.abs(points).max()), 1e-9)  # cv2 takes sides of micrometres for points
    flat = np.stack([(first * scale) @ points.T, (second * scale) @ points.T], axis=2).astype(np.float32)
    tried = []
    for number, (normal, a, b, height) in enumerate(zip(directions, first, second, heights.tolist(), strict=True)):
        _, (wide, high), degrees = cv2.minAreaRect(flat[number])
        angle = math.radians(degrees)
        cosine, sine = math.cos(angle), math.sin(angle)
        axes = np.array((cosine * a + sine * b, cosine * b - sine * a, normal))
        tried.append(_BoxCandidate(axes, (wide / scale + floor) * (high / scale + floor) * height))
    return tried


def _kept(points: Floats, last: Floats | None, floor: float) -> list[_BoxCandidate]:
    """The last box's directions, with a bonus."""
    if last is None:
        return []
    return [_BoxCandidate(box.axes, _LAST * box.volume_m3) for box in _around(points, last.T, floor)]


def _beside(directions: Floats) -> tuple[Floats, Floats]:
    """Two unit vectors each, at right angles to (K, 3) unit directions and to each other, right-handed."""
    helper = np.where(np.abs(directions[:, :1]) < 0.7, np.array([[1.0, 0, 0]]), np.array([[0, 1.0, 0]]))
    first = helper - (helper * directions).sum(1, keepdims=True) * directions
    first /= np.linalg.norm(first, axis=1, keepdims=True)
    return first, np.cross(directions, first)


def _refined(points: Floats, tried: _BoxCandidate, floor: float) -> _BoxCandidate:
    """Tilt the direction by ever smaller steps as long as the box gets smaller."""
    best, step = tried, math.radians(6)
    while step > math.radians(0.3):
        x, y, z = best.axes
        tilted = z + math.tan(step) * np.array((x, -x, y, -y))
        least = min(_around(points, tilted * math.cos(step), floor), key=lambda tried: tried.volume_m3)
        if least.volume_m3 < best.volume_m3:
            best = least
        else:
            step /= 2
    return best


def _closest(cells: Points, tried: Sequence[_BoxCandidate]) -> Floats:
    """The axes (rows) of the smallest box, unless cells lie much closer to the faces of one that is hardly larger."""
    least = min(box.volume_m3 for box in tried)

    def cost(box: _BoxCandidate) -> float:
        along = box.axes.astype(np.float32) @ cells.T
        low, high = along.min(1, keepdims=True), along.max(1, keepdims=True)
        away = float(np.minimum(along - low, high - along).min(0).mean())
        return float(box.volume_m3 * (away + 1e-6) ** _CLOSENESS)

    return min((box for box in tried if box.volume_m3 <= _NEARLY * least), key=cost).axes


def _fitted(cloud: PointCloud, axes: Floats, middle: Floats) -> OrientedBox:
    """The box along these axes (rows), with sides from all pixels and not from cells, which end too early."""
    pixels = cloud.pixels[:: 1 + len(cloud.pixels) // 12_000]
    along = (pixels - middle.astype(np.float32)) @ axes.T.astype(np.float32)
    view = middle / max(float(np.linalg.norm(middle)), 1e-9)
    along_view = np.abs(axes @ view)
    ends = np.array(
        [
            _ends(column, cloud.noise_m, cloud.noise_m * share)
            for column, share in zip(np.ascontiguousarray(along.T), along_view.tolist(), strict=True)
        ]
    )
    extents = ends[:, 1] - ends[:, 0]
    order = np.argsort(-extents)
    turn = axes[order].T
    if np.linalg.det(turn) < 0:
        turn[:, 2] *= -1
    return OrientedBox(RigidTransform(turn, middle + axes.T @ ends.mean(1)), extents[order])


def _ends(along: NDArray[np.float32], noise_m: float, sigma_m: float) -> tuple[float, float]:
    """Where points end, both ways, along one axis, along which their noise is sigma_m.

    Where a face is seen from the front its points lie round it by their noise, and the middle of that layer is the
    end, not its outermost point. Elsewhere the surface just ends; an even row of points that ends somewhere has, once
    there is noise, 0.4 sigma of its length beyond that place (the mean of the positive half of a normal error).
    """
    count = len(along)
    ordered = np.sort(along)
    trim = int(_TRIM * count)
    low, high = float(ordered[trim]), float(ordered[count - 1 - trim])
    extent, layer = high - low, 6 * noise_m
    if extent <= 2 * layer:  # about as thin as its noise, which is taken off its spread
        spread = float(ordered[int(0.84 * (count - 1))] - ordered[int(0.16 * (count - 1))]) / 2
        half = math.sqrt(3 * max(0.0, spread * spread - noise_m * noise_m))  # of an even spread of that deviation
        return (low + high) / 2 - half, (low + high) / 2 + half
    least = max(0.05, 4 * layer / extent) * count
    return _end(ordered, low, layer, least, sigma_m), -_end(-ordered[::-1], -high, layer, least, sigma_m)


def _end(ordered: NDArray[np.float32], low: float, layer: float, least: float, sigma_m: float) -> float:
    """The lower end of sorted numbers whose lowest is about `low`."""
    inside = int(np.searchsorted(ordered, low + layer))
    if inside > least:
        return float(ordered[inside // 2])
    row = max(4 * sigma_m, 0.5 * layer)  # beyond the end, as long as this is all of the row
    density = (
        int(np.searchsorted(ordered, low + 2 * sigma_m + row)) - int(np.searchsorted(ordered, low + 2 * sigma_m))
    ) / row
    beyond = int(0.4 * density * sigma_m)
    # Noise carries hardly any point farther than 2.5 sigma; what tapers off to its end is not shortened by more.
    return min(max(low, float(ordered[min(beyond, len(ordered) - 1)])), low + 2.5 * sigma_m)
