"""Fits the box with Open3D's voxels, outlier removal and minimal box. The only module that imports it."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np

from calibration.errors import CalibrationError
from calibration.lens import Floats
from calibration.objects.boxes import OrientedBox, fit_box_along
from calibration.objects.cloud import PointCloud

_NEIGHBOURS, _SIGMAS = 20, 2.0


def load_open3d() -> Any:
    """Import Open3D; raises `CalibrationError` where it is missing."""
    try:
        return importlib.import_module("open3d")
    except (ImportError, OSError) as error:  # libusb may be missing
        raise CalibrationError(
            f"Open3D cannot be used ({error}); pip install 'gazecast[open3d]', and libusb-1.0-0 from the system"
        ) from None


def fit_open3d_box(cloud: PointCloud, last_rotation: Floats | None = None) -> OrientedBox:
    """Fit the box of the smallest volume; its sides are measured as in `fit_minimal_box`.

    last_rotation is ignored. Raises `CalibrationError` where Open3D is missing or finds no box, as in flat points.
    """
    open3d = load_open3d()
    points = open3d.geometry.PointCloud(open3d.utility.Vector3dVector(cloud.points.astype(np.float64)))
    points = points.voxel_down_sample(cloud.voxel_m)
    points, _ = points.remove_statistical_outlier(_NEIGHBOURS, _SIGMAS)
    try:
        axes = np.asarray(points.get_minimal_oriented_bounding_box().R, np.float64).T
    except RuntimeError as error:
        raise CalibrationError(f"Open3D finds no box: {error}") from None
    return fit_box_along(cloud, axes)
