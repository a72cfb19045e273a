"""Locates masked objects in space: points from depth, oriented boxes, filtered poses, positions without depth.

Pure geometry; imports only our cameras and rigid transforms. Open3D is optional (`calibration.objects.with_open3d`).
"""

from calibration.objects.boxes import OrientedBox, fit_minimal_box, fit_quick_box
from calibration.objects.cloud import (
    CloudError,
    CloudSettings,
    Depth,
    PointCloud,
    compute_ray_grid,
    convert_to_metres,
    extract_cloud,
)
from calibration.objects.place import (
    LocationError,
    SurfacePoint,
    compute_mask_ray,
    estimate_centroid,
    intersect_plane,
    locate_by_size,
)
from calibration.objects.pose_filter import PoseFilter, SteadyPose
from calibration.objects.register import register_depth

__all__ = [
    "CloudError",
    "CloudSettings",
    "Depth",
    "LocationError",
    "OrientedBox",
    "PointCloud",
    "PoseFilter",
    "SteadyPose",
    "SurfacePoint",
    "compute_mask_ray",
    "compute_ray_grid",
    "convert_to_metres",
    "estimate_centroid",
    "extract_cloud",
    "fit_minimal_box",
    "fit_quick_box",
    "intersect_plane",
    "locate_by_size",
    "register_depth",
]
