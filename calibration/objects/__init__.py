"""Masks to things in space: points from depth, oriented boxes, a steady pose, and places without depth.

Pure geometry; imports nothing of ours but cameras and rigid transforms. Open3D is used where it is installed and asked
for (`calibration.objects.with_open3d`).
"""

from calibration.objects.boxes import OrientedBox, minimal_box, quick_box
from calibration.objects.cloud import CloudError, CloudSettings, Depth, PointCloud, find_cloud, metres, sight_lines
from calibration.objects.place import PlaceError, SurfacePoint, by_size, on_plane, sight, spot_of
from calibration.objects.pose_filter import PoseFilter, SteadyPose
from calibration.objects.register import registered

__all__ = [
    "CloudError",
    "CloudSettings",
    "Depth",
    "OrientedBox",
    "PlaceError",
    "PointCloud",
    "PoseFilter",
    "SteadyPose",
    "SurfacePoint",
    "by_size",
    "find_cloud",
    "metres",
    "minimal_box",
    "on_plane",
    "quick_box",
    "registered",
    "sight",
    "sight_lines",
    "spot_of",
]
