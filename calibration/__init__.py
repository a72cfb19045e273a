"""Provides the geometry of gazecast: camera models, gaze mapping, rigid transforms, calibration files.

Imports nothing else of ours.
"""

from calibration.camera import CameraModel, FisheyeCamera, PinholeCamera, angles_deg, camera_from_dict
from calibration.errors import CalibrationError, RecordError
from calibration.record import CalibrationRecord
from calibration.rigid import RigidTransform
from calibration.uncertain_transform import UncertainTransform

__all__ = [
    "CalibrationError",
    "CalibrationRecord",
    "CameraModel",
    "FisheyeCamera",
    "PinholeCamera",
    "RecordError",
    "RigidTransform",
    "UncertainTransform",
    "angles_deg",
    "camera_from_dict",
]
