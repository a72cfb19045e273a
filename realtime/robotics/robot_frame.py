"""Finds the camera in a robot's frame, by a file of `calibrate handeye` or by a board that both know."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from calibration import CalibrationError, UncertainTransform
from calibration.headset import SharedBoard
from calibration.pose import BoardPose
from calibration.record import CalibrationRecord, load_record


class RobotFrame(Protocol):
    """A provider of the camera's pose in the robot's frame `frame_id`."""

    frame_id: str

    def robot_from_camera(self, captured_s: float, board: BoardPose | None) -> UncertainTransform:
        """Return the pose for a frame of that time and its board; raises `CalibrationError` where it is unknown."""


class FixedCamera:
    """A camera that is fixed beside the robot (`base`), or to its gripper (`gripper`)."""

    def __init__(self, robot_from_camera: UncertainTransform, frame_id: str) -> None:
        self._pose, self.frame_id = robot_from_camera, frame_id

    def robot_from_camera(self, captured_s: float, board: BoardPose | None) -> UncertainTransform:
        """Return the calibrated pose."""
        return self._pose


class HeadsetCamera:
    """A moving camera that sees a board, whose pose in the robot's base is known."""

    def __init__(self, base_from_board: UncertainTransform, frame_id: str) -> None:
        self._board, self.frame_id = SharedBoard(base_from_board), frame_id

    def robot_from_camera(self, captured_s: float, board: BoardPose | None) -> UncertainTransform:
        """Return the pose by the newest detection of the board; raises `BoardLost` where that is too old."""
        if board is not None:
            self._board.observe(board, captured_s)
        return self._board.base_from_headset_at(captured_s)


def load_robot_frame(path: Path, camera: str | None, *, by_board: bool, frame_id: str = "") -> RobotFrame:
    """Load a file of `calibrate handeye`; raises `CalibrationError` for one of another camera or without a board.

    camera: the name of the frames' camera, which with `by_board` may differ from the file's; None is not compared.
    """
    record = load_record(path, "handeye", camera=None if by_board else camera)
    if by_board:
        return HeadsetCamera(_transform(path, record, "base_from_board"), frame_id or "base")
    name = "base_from_camera" if "base_from_camera" in record.body else "gripper_from_camera"
    if name not in record.body and "base_from_board" in record.body:
        raise CalibrationError(
            f"{path} has the pose of a board, not that of the camera; give --set objects.robot_by_board=true and "
            "--set objects.board=..."
        )
    return FixedCamera(_transform(path, record, name), frame_id or name.partition("_")[0])


def _transform(path: Path, record: CalibrationRecord, name: str) -> UncertainTransform:
    fields = record.body.get(name)
    if not isinstance(fields, dict):
        raise CalibrationError(f"{path} has no {name}; calibrate the robot again with that setup")
    try:
        return UncertainTransform.from_dict(fields)
    except CalibrationError as error:
        raise CalibrationError(f"{path}: {name}: {error}") from None
