"""Locates an object, with covariance, by depth, a plane it lies on, its size, or only a direction.

Frames of reference: the camera's optical one, metres. Raises `LocationError` rather than guess.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from calibration.camera import CameraModel
from calibration.errors import CalibrationError
from calibration.lens import Floats
from calibration.objects.cloud import PointCloud
from calibration.rigid import RigidTransform

EDGE_SD_PX = 1.5
"""Standard deviation of a mask's edge."""
_MIN_INCIDENCE_RAD = math.radians(8)
_FORESHORTENING_SD = 0.08
"""Foreshortening of a tilted object, as a share of its size, standard deviation."""


class LocationError(CalibrationError):
    """An error for an object whose location cannot be determined; the message gives the reason."""


@dataclass(frozen=True, slots=True, eq=False)
class SurfacePoint:
    """A point (3,) m that has a (3, 3) covariance, m^2: its uncertainty, not the object's size."""

    point_m: Floats
    covariance: Floats


def estimate_centroid(cloud: PointCloud) -> SurfacePoint:
    """Estimate an object's centroid, the mean of its visible pixels.

    Its covariance adds: the mean's own error, with correlated neighbours; the mask's edge; the depth camera's
    systematic error, 1 mm and 1.5 mm at one metre, growing with the square (Khoshelham & Oude Elberink 2012, for
    structured light); and the unmeasured part of the mask, which may lie anywhere in the object's extent.
    """
    mean = cloud.points.mean(0, dtype=np.float64)
    away = cloud.voxel_centroids - mean.astype(np.float32)
    shape = (away.T @ away).astype(np.float64) / max(1, len(away))
    distance = float(np.linalg.norm(mean))
    along = np.outer(mean, mean) / distance**2
    across = np.eye(3) - along
    blind = 1 - min(1.0, cloud.kept_share)
    covariance = (
        shape * (25 / max(25, len(cloud.voxel_centroids)) + (blind / 2) ** 2)
        + along * (0.001 + 0.0015 * distance**2) ** 2
        + across * (EDGE_SD_PX * cloud.pixel_pitch_m) ** 2
    )
    return SurfacePoint(mean, covariance)


def compute_mask_ray(mask: NDArray[np.bool_], camera: CameraModel) -> Floats:
    """Compute the (3,) unit ray through the (H, W) mask's pixel nearest to its centroid.

    Raises `LocationError` where the mask is empty or there is no ray.
    """
    rows, columns = np.nonzero(mask)
    if not len(rows):
        raise LocationError("the mask is empty")
    nearest = int(np.argmin((columns - columns.mean()) ** 2 + (rows - rows.mean()) ** 2))
    inside = bool(mask[round(rows.mean()), round(columns.mean())])
    x, y = (columns.mean(), rows.mean()) if inside else (columns[nearest], rows[nearest])
    ray = camera.unproject([(x, y)])[0]
    if not np.isfinite(ray).all():
        raise LocationError("the lens model knows no direction for that part of the picture")
    return np.asarray(ray)


def intersect_plane(
    mask: NDArray[np.bool_], camera: CameraModel, camera_from_plane: RigidTransform, covariance: Floats
) -> SurfacePoint:
    """Intersect the ray through the mask's middle with the plane z = 0 of `camera_from_plane`.

    covariance: (6, 6) of that pose, as in `calibration.pose`. Exact for flat objects on the plane; a standing one
    occludes the plane behind it, so that half of what the mask covers there is part of the error.
    Raises `LocationError` where the plane is seen from its edge or lies behind.
    """
    ray = compute_mask_ray(mask, camera)
    normal, origin = camera_from_plane.rotation[:, 2], camera_from_plane.translation_m
    slope = float(normal @ ray)
    distance = float(normal @ origin) / slope if slope else math.inf
    if abs(slope) < math.sin(_MIN_INCIDENCE_RAD) or not 0 < distance < math.inf:
        raise LocationError("the line of sight does not meet the board's plane, or hardly")
    point = distance * ray
    offset = point - origin
    # The point moves along the ray as the plane rises there: by its translation, and by rotations about its origin.
    rise = np.concatenate([normal, np.cross(offset, normal)])
    along = float(rise @ covariance @ rise) / slope**2
    per_px = distance / math.sqrt(camera.fx * camera.fy)
    flat = np.eye(3) - np.outer(normal, normal)
    foreshortened = flat @ ray
    length = float(np.linalg.norm(foreshortened))
    toward = foreshortened / length if length > 1e-6 else np.zeros(3)
    cover_m = math.sqrt(np.count_nonzero(mask)) * per_px / abs(slope)
    covariance_of_point = (
        np.outer(ray, ray) * along
        + flat * (EDGE_SD_PX * per_px / abs(slope)) ** 2
        + (np.outer(toward, toward) + np.outer(normal, normal)) * (0.5 * cover_m * length) ** 2
    )
    return SurfacePoint(point, covariance_of_point)


def locate_by_size(mask: NDArray[np.bool_], camera: CameraModel, size_m: float) -> SurfacePoint:
    """Locate an object whose longest side across the line of sight is `size_m`.

    A tilted object appears shorter and so farther away; the covariance includes typical foreshortening.
    Raises `LocationError` where the mask touches the picture's edge or is too small.
    """
    if mask[[0, -1]].any() or mask[:, [0, -1]].any():
        raise LocationError("the mask touches the picture's edge, so that its size is not seen")
    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    if not contours:
        raise LocationError("the mask is empty")
    hull = cv2.convexHull(np.concatenate(contours)).reshape(-1, 2).astype(np.float64)
    gaps = np.linalg.norm(hull[:, None] - hull[None], axis=2)
    a, b = np.unravel_index(int(gaps.argmax()), gaps.shape)
    length_px = float(gaps[a, b]) + 0.5  # to the outer edges: 0 where many directions are tried, 1 with few
    first, second = camera.unproject(hull[[a, b]])
    angle = math.atan2(float(np.linalg.norm(np.cross(first, second))), float(first @ second)) * length_px / gaps[a, b]
    if length_px < 8 or not math.isfinite(angle):
        raise LocationError(f"the mask is {length_px:.0f} px long, too small to tell a distance from")
    ray = compute_mask_ray(mask, camera)
    distance = size_m / (2 * math.tan(angle / 2))
    error_m = distance * math.hypot(2 * EDGE_SD_PX / length_px, _FORESHORTENING_SD)
    per_px = distance / math.sqrt(camera.fx * camera.fy)
    along = np.outer(ray, ray)
    return SurfacePoint(distance * ray, along * error_m**2 + (np.eye(3) - along) * (EDGE_SD_PX * per_px) ** 2)
