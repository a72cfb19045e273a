"""Geometry: camera models, gaze mapping, rigid transforms, calibration files.

Imports nothing else of ours.
"""

from calibration.camera import Camera, Fisheye, Pinhole, angles_deg, camera_from_dict
from calibration.errors import CalibrationError, RecordError
from calibration.record import Record
from calibration.rigid import Rigid
from calibration.uncertain_transform import Uncertain

__all__ = [
    "CalibrationError",
    "Camera",
    "Fisheye",
    "Pinhole",
    "Record",
    "RecordError",
    "Rigid",
    "Uncertain",
    "angles_deg",
    "camera_from_dict",
]
