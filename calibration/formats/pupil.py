"""Parses Pupil Capture's intrinsics files, such as `world.intrinsics`: a msgpack map from resolution to camera.

Layout as written by Pupil 2 and 3: {"version": 1, "(1280, 720)": {"camera_matrix", "dist_coefs", "cam_type",
"resolution"}}; the camera's name is the file's.
"""

from __future__ import annotations

import re
from typing import Any

import msgpack
import numpy as np

from calibration.camera import CameraModel, FisheyeCamera, PinholeCamera
from calibration.errors import CalibrationError

_KEY = re.compile(r"\((\d{1,5}), ?(\d{1,5})\)")


def is_intrinsics(data: bytes) -> bool:
    """Whether the content begins with a small msgpack map."""
    return bool(data) and (0x80 <= data[0] <= 0x8F or data[0] in (0xDE, 0xDF))


def parse_intrinsics(origin: str, data: bytes, size: tuple[int, int] | None) -> CameraModel:
    """Parse the camera of the given resolution, or of the only one. Raises `CalibrationError`."""
    cameras = {
        (int(m[1]), int(m[2])): value for key, value in _unpack(origin, data).items() if (m := _KEY.fullmatch(key))
    }
    if not cameras:
        raise CalibrationError(f"{origin} holds no resolution; expected one of Pupil's .intrinsics files of version 1")
    offered = ", ".join(f"{wide} x {high}" for wide, high in sorted(cameras))
    if size is None and len(cameras) > 1:
        raise CalibrationError(f"{origin} holds several resolutions ({offered}); say which, such as --size 1280x720")
    chosen = tuple(size) if size is not None else next(iter(cameras))
    if chosen not in cameras:
        raise CalibrationError(f"{origin} holds {offered}, not {chosen[0]} x {chosen[1]}; capture at one of these")
    return _camera(origin, (chosen[0], chosen[1]), cameras[chosen])


def _unpack(origin: str, data: bytes) -> dict[str, Any]:
    try:
        fields = msgpack.unpackb(data, strict_map_key=False, max_map_len=200, max_array_len=200, max_str_len=10_000)
    except Exception as error:  # msgpack raises a dozen types for invalid bytes
        raise CalibrationError(f"{origin} is no msgpack: {error}") from None
    version = fields.get("version") if isinstance(fields, dict) else None
    if version != 1:
        raise CalibrationError(f"{origin} has version {version!r}, expected 1 as Pupil 2 and 3 write it")
    return {str(key): value for key, value in fields.items()}


def _camera(origin: str, size: tuple[int, int], fields: Any) -> CameraModel:
    try:
        matrix = np.array(fields["camera_matrix"], np.float64).reshape(3, 3)
        coefficients = np.array(fields["dist_coefs"], np.float64).ravel()
        kind = fields["cam_type"]
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise CalibrationError(f"{origin}: the camera of {size[0]} x {size[1]} is broken: {error}") from None
    if kind == "fisheye":
        return FisheyeCamera.from_matrix(size, matrix, coefficients)
    if kind == "radial":
        return PinholeCamera.from_matrix(size, matrix, coefficients)
    raise CalibrationError(
        f"{origin}: the camera is of type {kind!r}, which was never calibrated; expected radial or fisheye. "
        "Run Pupil's intrinsics estimation, or: gazecast calibrate camera"
    )
