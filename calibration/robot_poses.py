"""Parses robot poses for hand-eye calibration: JSON or CSV, metres and quaternions, or 4 x 4 matrices. Pure.

JSON: a list, or {"poses": [...]}, of {"name": "01.png", "base_from_gripper": POSE, "camera_from_board": POSE}, where
POSE is {"translation_m": [x, y, z], "quaternion_xyzw": [x, y, z, w]} or {"matrix": [[...] * 4]}.
CSV: a header, then name,x,y,z,qx,qy,qz,qw and, where the board's pose is known, board_x ... board_qw.
camera_from_board may be left out; then `name` is the picture that shows the board.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from calibration.errors import CalibrationError
from calibration.rigid import RigidTransform

MAX_POSES = 2000
MAX_DISTANCE_M = 50.0
"""No robot reaches so far: larger numbers are millimetres."""
_COLUMNS = ("x", "y", "z", "qx", "qy", "qz", "qw")


@dataclass(frozen=True, slots=True, eq=False)
class RobotPose:
    """Holds the gripper's pose, and the board's in the camera's frame where it was already measured."""

    name: str
    base_from_gripper: RigidTransform
    camera_from_board: RigidTransform | None = None


def parse_poses(origin: str, text: str) -> list[RobotPose]:
    """Parse either format, detected by its content; `CalibrationError` names the invalid pose."""
    poses = _parse_json(origin, text) if text.lstrip()[:1] in ("[", "{") else _parse_csv(origin, text)
    if len(poses) > MAX_POSES:
        raise CalibrationError(f"{origin} holds {len(poses)} poses; {MAX_POSES} are the most")
    names = [pose.name for pose in poses]
    duplicates = sorted({name for name in names if names.count(name) > 1})
    if duplicates:
        raise CalibrationError(
            f"{origin} names {', '.join(duplicates[:5])} more than once; each pose needs its own name"
        )
    for pose in poses:
        distance_m = max(_distance_m(pose.base_from_gripper), _distance_m(pose.camera_from_board))
        if distance_m > MAX_DISTANCE_M:
            raise CalibrationError(
                f"{origin}: pose {pose.name} lies {distance_m:.4g} m away; expected metres: divide millimetres by 1000"
            )
    return poses


def _distance_m(pose: RigidTransform | None) -> float:
    return 0.0 if pose is None else math.hypot(*pose.translation_m)


def _parse_json(origin: str, text: str) -> list[RobotPose]:
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise CalibrationError(f"{origin} is not JSON: {error}") from None
    items = fields.get("poses") if isinstance(fields, dict) else fields
    if not isinstance(items, list):
        raise CalibrationError(f'{origin} holds no poses; expected a list, or {{"poses": [...]}}')
    poses = []
    for number, item in enumerate(items):
        if not isinstance(item, dict):
            raise CalibrationError(f"{origin}, pose {number} is {item!r:.40}; expected an object")
        try:
            name = str(item.get("name", item.get("image", number)))
            board = item.get("camera_from_board")
            gripper = _parse_pose(item["base_from_gripper"])
            poses.append(RobotPose(name, gripper, None if board is None else _parse_pose(board)))
        except KeyError as error:
            raise CalibrationError(f"{origin}, pose {number}: {error} is missing") from None
        except (AttributeError, TypeError, CalibrationError) as error:
            raise CalibrationError(f"{origin}, pose {number}: {error}") from None
    return poses


def _parse_pose(fields: Mapping[str, Any]) -> RigidTransform:
    if "matrix" in fields:
        try:
            return RigidTransform.from_matrix(fields["matrix"])
        except (TypeError, ValueError, OverflowError) as error:
            raise CalibrationError(f"the matrix does not read as 4 x 4 numbers: {error}") from None
    return RigidTransform.from_dict(fields)


def _parse_csv(origin: str, text: str) -> list[RobotPose]:
    rows = csv.DictReader(io.StringIO(text), skipinitialspace=True)
    poses = []
    try:
        columns = rows.fieldnames or []
        missing = [name for name in ("name", *_COLUMNS) if name not in columns]
        if missing:
            raise CalibrationError(
                f"{origin} lacks the columns {', '.join(missing)}; expected name,{','.join(_COLUMNS)} and, where "
                "known, the same with board_ before"
            )
        with_board = all(f"board_{name}" in columns for name in _COLUMNS)
        for row in rows:
            where = f"{origin}, line {rows.line_num}"
            board = _parse_row(where, row, "board_") if with_board and row["board_x"] else None
            poses.append(RobotPose(row["name"], _parse_row(where, row, ""), board))
    except csv.Error as error:
        raise CalibrationError(f"{origin} is no CSV: {error}") from None
    return poses


def _parse_row(where: str, row: Mapping[str, str], prefix: str) -> RigidTransform:
    try:
        numbers = [float(row[prefix + name]) for name in _COLUMNS]
    except (TypeError, ValueError):
        raise CalibrationError(f"{where}: a pose has 7 numbers, {prefix}x to {prefix}qw, in metres") from None
    length = math.hypot(*numbers[3:])
    if not 0.9 < length < 1.1:
        raise CalibrationError(f"{where}: the quaternion has length {length:.3g}, expected 1, in the order qx qy qz qw")
    if not all(map(math.isfinite, numbers)):
        raise CalibrationError(f"{where}: a pose has 7 finite numbers, {prefix}x to {prefix}qw, got {numbers}")
    return RigidTransform.from_quaternion(numbers[3:], numbers[:3])
