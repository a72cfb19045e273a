"""Parses camera files of ROS (camera_calibration, `ros2 topic echo`), OpenCV and Kalibr; formats the first.

They differ in their names for the same fields, and are YAML, JSON or OpenCV's XML.
"""

from __future__ import annotations

import re
from typing import Any
from xml.etree import ElementTree

import numpy as np

from calibration.camera import CameraModel, FisheyeCamera, PinholeCamera
from calibration.errors import CalibrationError
from calibration.lens import Floats

_KEYS = {
    "size": ("imageSize", "image_size", "resolution"),
    "width": ("image_width", "width", "image_Width"),
    "height": ("image_height", "height", "image_Height"),
    "k": ("camera_matrix", "k", "K", "cameraMatrix", "Camera_Matrix", "intrinsics"),
    "d": (
        "distortion_coefficients", "d", "D", "distCoeffs", "dist_coeffs", "dist_coefs", "Distortion_Coefficients",
        "distortion_coeffs",
    ),
}  # fmt: skip
_MAX_ALIASES = 16
_MAX_DEPTH = 16
_OPENCV = re.compile(r"\s*(%YAML:|<\?xml|<opencv_storage)")


def parse_camera_info(origin: str, data: bytes) -> tuple[str, CameraModel]:
    """Parse (camera_name, camera); a region of interest becomes the camera of the cropped pictures.

    Raises `CalibrationError`, also for binned pictures.
    """
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise CalibrationError(f"{origin} is no text: {error}") from None
    fields = _parse_fields(origin, text)
    try:
        wide, high = _read_size(fields)
        matrix = _read_matrix(fields)
        # OpenCV leaves the coefficients out where they were not estimated.
        coefficients = _get_numbers(_get_field(fields, "d", [] if _OPENCV.match(text) else None))
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise CalibrationError(f"{origin} is no camera_info: {error}") from None
    for name in ("binning_x", "binning_y"):
        if str(fields.get(name, "0")) not in ("0", "1"):
            raise CalibrationError(f"{origin}: {name} is {fields[name]}; expected the camera's full resolution")
    wide, high, matrix = _apply_region(origin, fields, (wide, high), matrix)
    model = str(fields.get("distortion_model", "plumb_bob"))
    name = str(fields.get("camera_name", "camera"))
    if model in ("equidistant", "fisheye"):
        return name, FisheyeCamera.from_matrix((wide, high), matrix, coefficients)
    if model in ("plumb_bob", "rational_polynomial", "none", "", "radtan"):
        return name, PinholeCamera.from_matrix((wide, high), matrix, coefficients)
    raise CalibrationError(
        f"{origin}: distortion_model is {model!r}; expected plumb_bob, rational_polynomial or equidistant"
    )


def to_camera_info(name: str, camera: CameraModel) -> str:
    """Format YAML for camera_info_manager and camera_calibration: no rectification, P of the undistorted picture."""
    coefficients = camera.coefficients or (0.0,) * (4 if isinstance(camera, FisheyeCamera) else 5)
    if len(coefficients) == 4 and isinstance(camera, PinholeCamera):
        coefficients = (*coefficients, 0.0)
    model = {4: "equidistant", 5: "plumb_bob", 8: "rational_polynomial"}[len(coefficients)]
    projection = np.column_stack([camera.matrix, np.zeros(3)])
    lines = [f"image_width: {camera.size[0]}", f"image_height: {camera.size[1]}"]
    lines.append(f"camera_name: {re.sub(r'[^A-Za-z0-9_]+', '_', name).strip('_') or 'camera'}")
    lines += _format_matrix("camera_matrix", camera.matrix)
    lines.append(f"distortion_model: {model}")
    lines += _format_matrix("distortion_coefficients", np.array([coefficients]))
    lines += _format_matrix("rectification_matrix", np.eye(3))
    lines += _format_matrix("projection_matrix", projection)
    return "\n".join(lines) + "\n"


def _format_matrix(name: str, values: np.ndarray[Any, np.dtype[np.float64]]) -> list[str]:
    numbers = ", ".join(repr(float(value)) for value in values.ravel())
    return [f"{name}:", f"  rows: {values.shape[0]}", f"  cols: {values.shape[1]}", f"  data: [{numbers}]"]


def _read_size(fields: dict[str, Any]) -> tuple[int, int]:
    if any(key in fields for key in _KEYS["size"]):
        wide, high = _get_numbers(_get_field(fields, "size"))
    else:
        wide, high = (float(_get_field(fields, name)) for name in ("width", "height"))
    return int(wide), int(high)


def _read_matrix(fields: dict[str, Any]) -> Floats:
    numbers = _get_numbers(_get_field(fields, "k"))
    if len(numbers) == 4:  # Kalibr's fx, fy, cx, cy
        fx, fy, cx, cy = numbers
        numbers = [fx, 0, cx, 0, fy, cy, 0, 0, 1]
    return np.array(numbers, np.float64).reshape(3, 3)


def _apply_region(
    origin: str, fields: dict[str, Any], size: tuple[int, int], matrix: Floats
) -> tuple[int, int, Floats]:
    """Crop the camera to the region of interest of its message; all zeros mean the whole picture (REP 104)."""
    region = fields.get("roi")
    if not isinstance(region, dict):
        return *size, matrix
    try:
        left, top, wide, high = (int(region.get(name, 0)) for name in ("x_offset", "y_offset", "width", "height"))
    except (TypeError, ValueError, OverflowError) as error:
        raise CalibrationError(f"{origin}: roi is no region: {error}") from None
    wide, high = wide or size[0] - left, high or size[1] - top
    if min(left, top) < 0 or min(wide, high) < 1 or left + wide > size[0] or top + high > size[1]:
        raise CalibrationError(f"{origin}: roi {region} is not within the picture of {size[0]} x {size[1]}")
    return wide, high, matrix - np.array([[0, 0, left], [0, 0, top], [0, 0, 0]])


def _get_field(fields: dict[str, Any], name: str, default: Any = None) -> Any:
    found = next((fields[key] for key in _KEYS[name] if key in fields), default)
    if found is None:
        raise KeyError(f"it has no {_KEYS[name][0]}")
    return found


def _get_numbers(value: Any) -> list[float]:
    items = value.get("data") if isinstance(value, dict) else value
    if not isinstance(items, list):
        raise ValueError(f"expected a list of numbers, got {items!r:.60}")
    rows = [item if isinstance(item, list) else [item] for item in items]
    return [float(item) for row in rows for item in row]


def _parse_fields(origin: str, text: str) -> dict[str, Any]:
    """Parse the first mapping of a YAML, JSON or OpenCV XML file."""
    try:
        fields = _parse_xml(text) if text.lstrip().startswith("<") else _parse_yaml(text)
    except Exception as error:  # PyYAML also raises errors of the values' types, and RecursionError
        raise CalibrationError(f"{origin} is neither YAML nor OpenCV's XML: {error}") from None
    if not isinstance(fields, dict):
        raise CalibrationError(f"{origin} is no camera_info: it is not a mapping")
    return fields.get("cam0", fields) if isinstance(fields.get("cam0", fields), dict) else fields


def _parse_yaml(text: str) -> Any:
    import yaml  # not needed by a program that subscribes only

    class Loader(yaml.SafeLoader):  # type: ignore[misc]  # without type stubs
        """Reads OpenCV's tag of a matrix as a mapping; few aliases, as many could stand for gigabytes, and levels."""

        _aliases = 0

        def compose_node(self, parent: Any, index: Any) -> Any:
            self._aliases += self.check_event(yaml.AliasEvent)
            if self._aliases > _MAX_ALIASES:
                raise ValueError(f"it has more than {_MAX_ALIASES} aliases")
            return super().compose_node(parent, index)

        def fetch_flow_collection_start(self, token: Any) -> None:
            if self.flow_level > _MAX_DEPTH:  # its time grows with the square of the depth
                raise ValueError(f"it has more than {_MAX_DEPTH} brackets in one another")
            super().fetch_flow_collection_start(token)

    Loader.add_multi_constructor("", lambda loader, _, node: loader.construct_mapping(node, deep=True))
    # OpenCV writes its version in a form that YAML does not have.
    return next(yaml.load_all(re.sub(r"\A%YAML:[\d.]+\s*", "", text), Loader), None)


def _parse_xml(text: str) -> Any:
    root = ElementTree.fromstring(text.strip())  # noqa: S314 - no entities of others; expat bounds their expansion
    return {item.tag: _parse_element(item) for item in root}


def _parse_element(item: ElementTree.Element) -> Any:
    if len(item):
        return {part.tag: _parse_element(part) for part in item}
    words = (item.text or "").split()
    return words[0] if len(words) == 1 and item.tag != "data" else words
