"""Parses the scene camera of Tobii Pro Glasses 3 from `recording.g3`, the JSON that describes a recording.

Names as in the developer guide and in published recordings: `scenecamera`, `camera-calibration`, `focal-length` (px),
`principal-point` (px), `radial-distortion` (k1, k2, k3), `tangential-distortion` (p1, p2), `resolution`.
"""

from __future__ import annotations

import json

import numpy as np

from calibration.camera import CameraModel, PinholeCamera
from calibration.errors import CalibrationError

SIGN = b'"camera-calibration"'


def parse_recording(origin: str, data: bytes) -> tuple[str, CameraModel]:
    """Parse (name, scene camera). Raises `CalibrationError`."""
    try:
        fields = json.loads(data)["scenecamera"]["camera-calibration"]
        (fx, fy), (cx, cy) = fields["focal-length"], fields["principal-point"]
        k1, k2, k3 = fields["radial-distortion"]
        p1, p2 = fields["tangential-distortion"]
        width, height = (int(side) for side in fields["resolution"])
        matrix = np.array([[fx, float(fields.get("skew", 0.0)), cx], [0, fy, cy], [0, 0, 1]], np.float64)
        coefficients = np.array([k1, k2, p1, p2, k3], np.float64)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError) as error:
        raise CalibrationError(
            f"{origin} is no recording.g3 with a camera: {type(error).__name__} {error}; expected camera-calibration "
            "with focal-length, principal-point, radial-distortion, tangential-distortion and resolution"
        ) from None
    return "Tobii Pro Glasses 3 scene", PinholeCamera.from_matrix((width, height), matrix, coefficients)
