"""Parses Neon's scene camera from `calibration.bin` (recording, device) or `scene_camera.json` (download).

The binary is a fixed record, little endian: version (1 byte), serial (6), then for scene, right eye and left eye a
3 x 3 matrix, 8 coefficients and a 4 x 4 transform of doubles, and a checksum (4). That of a Pupil Invisible is: serial
(5), a 3 x 3 matrix, 8 coefficients and a 3 x 3 rotation. Neither has the resolution, which is 1600 x 1200 for every
Neon and 1088 x 1080 for every Invisible.
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
INVISIBLE_SIZE = (1088, 1080)
_INVISIBLE_BYTES = 5 + 8 * (9 + 8 + 9)


def is_calibration_bin(data: bytes) -> bool:
    """Whether it has the record's length; parsing checks its version and numbers."""
    return len(data) in (_FILE_BYTES, _INVISIBLE_BYTES)


def parse_calibration_bin(origin: str, data: bytes) -> tuple[str, CameraModel]:
    """Parse (name with the module's serial number, scene camera). Raises `CalibrationError`."""
    if not is_calibration_bin(data):
        raise CalibrationError(f"{origin} has {len(data)} bytes, expected {_FILE_BYTES} of a Neon's calibration.bin")
    if len(data) == _INVISIBLE_BYTES:
        return _parse_record(origin, data, 0, 5, INVISIBLE_SIZE)
    if data[0] != 1:
        raise CalibrationError(f"{origin} has version {data[0]}, expected 1; this format is not supported")
    return _parse_record(origin, data, 1, 6, SIZE)


def _parse_record(
    origin: str, data: bytes, start: int, serial_bytes: int, size: tuple[int, int]
) -> tuple[str, CameraModel]:
    """Parse serial number, matrix and coefficients, which follow each other."""
    end = start + serial_bytes
    serial = data[start:end].rstrip(b"\0").decode("ascii", "replace")
    numbers = np.frombuffer(data, "<f8", count=17, offset=end)
    return _name(serial, size), _camera(origin, numbers[:9].reshape(3, 3), numbers[9:], size)


def parse_scene_camera(origin: str, data: bytes, size: tuple[int, int] | None = None) -> tuple[str, CameraModel]:
    """Parse (name with the module's serial number, scene camera). Raises `CalibrationError`.

    size: of the pictures; an Invisible's file has the same fields, and is read for its size only.
    """
    try:
        fields = json.loads(data)
        matrix = np.array(fields["camera_matrix"], np.float64).reshape(3, 3)
        coefficients = (
            fields["distortion_coefficients"] if "distortion_coefficients" in fields else fields["dist_coefs"]
        )
        coefficients = np.array(coefficients, np.float64).ravel()
    except (KeyError, TypeError, ValueError, OverflowError, RecursionError) as error:
        raise CalibrationError(
            f"{origin} is no scene_camera.json: {type(error).__name__} {error}; expected camera_matrix and "
            "distortion_coefficients"
        ) from None
    of_size = INVISIBLE_SIZE if size == INVISIBLE_SIZE else SIZE
    return _name(str(fields.get("serial_number", "")).strip(), of_size), _camera(origin, matrix, coefficients, of_size)


def _name(serial: str, size: tuple[int, int]) -> str:
    model = "Pupil Invisible" if size == INVISIBLE_SIZE else "Neon"
    return f"{model} {serial} scene".replace("  ", " ")


def _camera(origin: str, matrix: Floats, coefficients: Floats, size: tuple[int, int]) -> CameraModel:
    cx, cy = float(matrix[0, 2]), float(matrix[1, 2])
    # A file of a Pupil Invisible has the same format but is for 1088 x 1080; its centre reveals it.
    if not (abs(cx - size[0] / 2) < 0.15 * size[0] and abs(cy - size[1] / 2) < 0.15 * size[1]):
        raise CalibrationError(
            f"{origin}: the picture's centre is at {cx:.0f}, {cy:.0f} px, which fits no {_name('', size)} camera "
            f"({size[0]} x {size[1]}); calibrate this camera with a board"
        )
    return PinholeCamera.from_matrix(size, matrix, coefficients)
