"""Reads camera calibrations of other programs: Pupil, Neon, Tobii Glasses and ROS's `camera_info`."""

from __future__ import annotations

import re
from pathlib import Path

from calibration import record
from calibration.camera import CameraModel, camera_from_dict
from calibration.errors import CalibrationError
from calibration.formats import neon, pupil, ros, tobii
from calibration.text import check_regular_file, to_utf8

_MAX_BYTES = 10_000_000
_SIZE = re.compile(rb"(?i)\b(image_?(width|size)|width|resolution)\"\s*:")
_CAMERA_INFO = re.compile(rb"(?i)camera_?matrix|distortion_(model|coef)|dist_?coef")


def read_camera(path: Path, size: tuple[int, int] | None = None) -> tuple[str, CameraModel]:
    """Read (name, camera) from a file of any known format, detected by its content.

    size: the resolution to select where a file holds several, and to require where it holds one.
    Raises `CalibrationError` with the actual and the expected content.
    """
    try:
        data = path.read_bytes() if check_regular_file(path) <= _MAX_BYTES else b""
    except OSError as error:
        raise CalibrationError(f"cannot read {path}: {error.strerror or error}") from None
    data = to_utf8(data)
    try:
        name, camera = _parse(path, data, size)
    except CalibrationError as error:
        if str(path) in str(error):
            raise
        raise CalibrationError(f"{path}: {error}") from None
    if size is not None and camera.size != tuple(size):
        raise CalibrationError(
            f"{path} is for {camera.size[0]} x {camera.size[1]}, the pictures are {size[0]} x {size[1]}; give the file "
            "for that resolution or calibrate again"
        )
    return name, camera


def _parse(path: Path, data: bytes, size: tuple[int, int] | None) -> tuple[str, CameraModel]:
    start = data[:200].lstrip()
    if start.startswith(b"{") and b"gazecast-calibration" in start:
        loaded = record.load_record(path, "camera")
        return loaded.camera, camera_from_dict(loaded.body.get("camera", {}))
    if start.startswith(b"{") and tobii.SIGN in data:
        return tobii.parse_recording(str(path), data)
    if start.startswith(b"{") and not _SIZE.search(data):
        return neon.parse_scene_camera(str(path), data, size)
    if neon.is_calibration_bin(data):
        return neon.parse_calibration_bin(str(path), data)
    if pupil.is_intrinsics(data):
        return path.stem, pupil.parse_intrinsics(str(path), data, size)
    if _CAMERA_INFO.search(data):
        return ros.parse_camera_info(str(path), data)
    raise CalibrationError(
        f"{path} is no supported camera file; expected our own JSON, Pupil's .intrinsics, Neon's calibration.bin or "
        "scene_camera.json, Tobii's recording.g3, or a camera_info of ROS, OpenCV or Kalibr (YAML, XML, JSON)"
    )
