"""Parses ROS's `camera_info` YAML of camera_calibration, `ros2 topic echo` or OpenCV; formats the first.

These files need a small part of YAML only: keys, numbers, words, lists in brackets or with dashes, one level deep. Only
this part is parsed; anything else is an error with its line.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from calibration.camera import CameraModel, FisheyeCamera, PinholeCamera
from calibration.errors import CalibrationError

_KEYS = {
    "width": ("image_width", "width"),
    "height": ("image_height", "height"),
    "k": ("camera_matrix", "k", "K"),
    "d": ("distortion_coefficients", "d", "D"),
}
_LINE = re.compile(r"(\s*)([A-Za-z_]\w*)\s*:(?:\s+(.*))?$")


def parse_camera_info(origin: str, data: bytes) -> tuple[str, CameraModel]:
    """Parse (camera_name, camera). Raises `CalibrationError`, also for cropped or binned pictures."""
    fields = _parse_yaml(origin, data)
    try:
        wide, high = (int(float(_get_field(fields, name))) for name in ("width", "height"))
        matrix = np.array(_get_numbers(_get_field(fields, "k")), np.float64).reshape(3, 3)
        coefficients = _get_numbers(_get_field(fields, "d"))
    except (KeyError, TypeError, ValueError) as error:
        raise CalibrationError(f"{origin} is no camera_info: {error}") from None
    for name in ("binning_x", "binning_y"):
        if str(fields.get(name, "0")) not in ("0", "1"):
            raise CalibrationError(f"{origin}: {name} is {fields[name]}; expected the camera's full resolution")
    model = str(fields.get("distortion_model", "plumb_bob"))
    name = str(fields.get("camera_name", "camera"))
    if model in ("equidistant", "fisheye"):
        return name, FisheyeCamera.from_matrix((wide, high), matrix, coefficients)
    if model in ("plumb_bob", "rational_polynomial", "none", ""):
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


def _get_field(fields: dict[str, Any], name: str) -> Any:
    for key in _KEYS[name]:
        if key in fields:
            return fields[key]
    raise KeyError(f"it has no {_KEYS[name][0]}")


def _get_numbers(value: Any) -> list[float]:
    items = value.get("data") if isinstance(value, dict) else value
    if not isinstance(items, list):
        raise ValueError(f"expected a list of numbers, got {items!r:.60}")
    return [float(item) for item in items]


def _parse_yaml(origin: str, data: bytes) -> dict[str, Any]:
    """Parse a mapping: lists as lists of words, mappings one level deep."""
    try:
        lines = _join_lines(origin, data.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise CalibrationError(f"{origin} is no text: {error}") from None
    fields: dict[str, Any] = {}
    mapping: dict[str, Any] = fields
    last_key, depth = "", 0
    for number, line in lines:
        stripped = line.strip()
        match = _LINE.match(line)
        if stripped.startswith("- ") and last_key:
            if not isinstance(mapping.get(last_key), list):
                mapping[last_key] = []
            mapping[last_key].append(stripped[2:].strip())
            continue
        if match is None:
            raise CalibrationError(f"{origin}, line {number}: {stripped!r:.60} is no line of a camera_info")
        indent, key, text = len(match[1]), match[2], re.sub(r"^!!\S+\s*", "", (match[3] or "").strip())
        if indent == 0:
            mapping, depth = fields, 0
        elif mapping is fields:
            mapping, depth = {}, indent
            fields[last_key] = mapping
        elif indent != depth:
            continue  # nested deeper than any required field
        last_key = key
        mapping[key] = _parse_value(text)
    return fields


def _parse_value(text: str) -> Any:
    if text.startswith("["):
        return [item.strip() for item in text.strip("[] \t").split(",") if item.strip()]
    return text.strip("\"'")


def _join_lines(origin: str, text: str) -> list[tuple[int, str]]:
    """Yield (number, line) without comments and document marks, each bracketed list joined to one line."""
    lines: list[tuple[int, str]] = []
    is_open = False
    for number, raw in enumerate(text.splitlines(), 1):
        line = re.sub(r"(^|\s)#.*$", "", raw).rstrip()
        if not line.strip() or line.startswith(("%", "---", "...")):
            continue
        if is_open:
            lines[-1] = (lines[-1][0], f"{lines[-1][1]} {line.strip()}")
        else:
            lines.append((number, line))
        is_open = lines[-1][1].count("[") > lines[-1][1].count("]")
    if is_open:
        raise CalibrationError(f"{origin} ends inside the list that begins on line {lines[-1][0]}")
    return lines
