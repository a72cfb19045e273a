"""Parses Neon's scene camera from `calibration.bin` (recording, device) or `scene_camera.json` (download).

The binary is a fixed record, little endian: version (1 byte), serial (6), then for scene, right eye and left eye a
3 x 3 matrix, 8 coefficients and a 4 x 4 transform of doubles, and a checksum (4). Neither has the resolution, which is
1600 x 1200 for every Neon.
"""

from __future__ import annotations

import json

import numpy as np

from calibration.camera import CameraModel, PinholeCamera
from calibration.errors import CalibrationError
from calibration.lens import Floats

SIZE = (1600, 1200)
_CAMERA_BYTES = 8 * (9 + 8 + 16)
_FILE_BYTES = 1 + 6 + 3 * _CAMERA_BYTES + 4


def is_calibration_bin(data: bytes) -> bool:
    """Whether it has the record's length; parsing checks its version and numbers."""
    return len(data) == _FILE_BYTES


def parse_calibration_bin(origin: str, data: bytes) -> tuple[str, CameraModel]:
    """Parse (name with the module's serial number, scene camera). Raises `CalibrationError`."""
    if not is_calibration_bin(data):
        raise CalibrationError(f"{origin} has {len(data)} bytes, expected {_FILE_BYTES} of a Neon's calibration.bin")
    if data[0] != 1:
        raise CalibrationError(f"{origin} has version {data[0]}, expected 1; this format is not supported")
    serial = data[1:7].rstrip(b"\0").decode("ascii", "replace")
    numbers = np.frombuffer(data, "<f8", count=17, offset=7)
    return f"Neon {serial} scene", _camera(origin, numbers[:9].reshape(3, 3), numbers[9:])


def parse_scene_camera(origin: str, data: bytes) -> tuple[str, CameraModel]:
    """Parse (name with the module's serial number, scene camera). Raises `CalibrationError`."""
    try:
        fields = json.loads(data)
        matrix = np.array(fields["camera_matrix"], np.float64).reshape(3, 3)
        coefficients = np.array(fields["distortion_coefficients"], np.float64).ravel()
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise CalibrationError(
            f"{origin} is no scene_camera.json: {type(error).__name__} {error}; expected camera_matrix and "
            "distortion_coefficients"
        ) from None
    serial = str(fields.get("serial_number", "")).strip()
    return f"Neon {serial} scene".replace("  ", " "), _camera(origin, matrix, coefficients)


def _camera(origin: str, matrix: Floats, coefficients: Floats) -> CameraModel:
    cx, cy = float(matrix[0, 2]), float(matrix[1, 2])
    # A file of a Pupil Invisible has the same format but is for 1088 x 1080; its centre reveals it.
    if not (abs(cx - SIZE[0] / 2) < 0.15 * SIZE[0] and abs(cy - SIZE[1] / 2) < 0.15 * SIZE[1]):
        raise CalibrationError(
            f"{origin}: the picture's centre is at {cx:.0f}, {cy:.0f} px, which fits no Neon "
            f"({SIZE[0]} x {SIZE[1]}); calibrate this camera with a board"
        )
    return PinholeCamera.from_matrix(SIZE, matrix, coefficients)
