"""Masks to things in space: points from depth, oriented boxes, a steady pose, and places without depth.

Pure geometry; imports nothing of ours but cameras and rigid transforms. Open3D is used where it is installed and asked
for (`calibration.objects.with_open3d`).
"""

from calibration.objects.boxes import Box, minimal_box, quick_box
from calibration.objects.cloud import Cloud, CloudSettings, Depth, NoCloud, find_cloud, metres, sight_lines
from calibration.objects.place import NoPlace, Spot, by_size, on_plane, sight, spot_of
from calibration.objects.pose_filter import PoseFilter, Steady
from calibration.objects.register import registered

__all__ = [
    "Box",
    "Cloud",
    "CloudSettings",
    "Depth",
    "NoCloud",
    "NoPlace",
    "PoseFilter",
    "Spot",
    "Steady",
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
