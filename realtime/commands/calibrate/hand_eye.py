"""Implements `gazecast calibrate handeye`: measures a camera's pose on or beside a robot."""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import numpy as np

from calibration import CalibrationError, CameraModel
from calibration.boards import BOARD_FORMAT, BoardDetection, CalibrationBoard, parse_board
from calibration.formats import read_camera
from calibration.hand_eye import HandEyeResult, HandEyeStation, Method, Setup, solve_hand_eye
from calibration.pose import estimate_pose, project_board
from calibration.record import CalibrationRecord
from calibration.rigid import RigidTransform
from calibration.robot_poses import RobotPose, parse_poses
from calibration.text import to_utf8
from engines.pictures import PictureError, read_picture
from realtime.commands.calibrate import report_hand_eye
from realtime.commands.calibrate.outputs import check_outputs, format_now, write_outputs
from realtime.commands.calibrate.report import ReportPanel
from realtime.commands.config_flags import Verbs, add_parser
from realtime.errors import SettingsError

MAX_RMS_PX = 3.0
POSE_FILES = ("poses.json", "poses.csv")
EPILOG = """
--poses is a JSON or CSV file, or a folder that holds poses.json or poses.csv and the pictures.
CSV: name,x,y,z,qx,qy,qz,qw (base_from_gripper, metres) and, where the board's pose is known already,
board_x ... board_qw (camera_from_board).
JSON: [{"name": "01.png", "base_from_gripper": {"translation_m": [..], "quaternion_xyzw": [..]}}, ...].
"""


def add_verb(verbs: Verbs[argparse.ArgumentParser]) -> None:
    """Add `handeye` to the parser of `gazecast calibrate`."""
    about = "measure the pose of a camera on a robot's gripper or beside the robot, with its uncertainty"
    verb = add_parser(verbs, "handeye", run, about)
    verb.epilog, verb.formatter_class = EPILOG, argparse.RawDescriptionHelpFormatter
    add = verb.add_argument
    add("--poses", type=Path, required=True, metavar="FILE|FOLDER", help="of the robot; see below")
    add("--camera", type=Path, required=True, metavar="FILE", help="the camera's calibration")
    add("--setup", choices=get_args(Setup), default="eye-in-hand", help="camera on the gripper (default) "
                      "or beside the robot, with the board on the gripper")  # fmt: skip
    add("--board", metavar="BOARD", help=BOARD_FORMAT)
    add("--images", type=Path, metavar="FOLDER", help="the poses' pictures (default: beside the poses)")
    add("--method", choices=get_args(Method), default="joint", help="joint (default) is our own; the "
                      "others are OpenCV's, if available")  # fmt: skip
    add("--keep-all", action="store_true", help="reject no outliers")
    add("--robot", default="", metavar="NAME", help="of the robot, for the record")
    add("--out", type=Path, default=Path("handeye.json"), help="(default handeye.json)")
    add("--report", type=Path, metavar="STEM", help="of the PNG and HTML (default: OUT-report)")
    add("--json", action="store_true", help="print the result as one JSON object")


def run(args: argparse.Namespace) -> None:
    """Run the verb; raises the errors of `realtime.errors` and `calibration`."""
    check_outputs(args.out, args.report)
    date = format_now()
    poses, folder = _load_poses(args.poses, args.images)
    name, camera = read_camera(args.camera)
    board = parse_board(args.board) if args.board else None
    stations, detections, skipped = _collect_stations(poses, folder, board, camera)
    result = solve_hand_eye(stations, args.setup, method=args.method, reject_outliers=not args.keep_all)
    used = [station for station in stations if station.name in {residual.name for residual in result.accepted}]
    page = report_hand_eye.build_page(
        f"{name}{' on ' + args.robot if args.robot else ''}, {date}",
        result, used, _compare_corners(result, used, detections, camera), skipped, _compare_methods(result, used),
    )  # fmt: skip
    body = build_record_body(result, skipped, page.verdict)
    record = CalibrationRecord("handeye", args.robot, name, camera.size, date, body)
    write_outputs(args, args.out, page, record, body, width=32, table=_format_residuals(result))


def build_record_body(result: HandEyeResult, skipped: list[tuple[str, str]], verdict: str) -> dict[str, Any]:
    """Build the body of the calibration record: each transform by name, with its covariance."""
    return {
        "setup": result.setup,
        "method": result.method,
        "verdict": verdict,
        result.transform_names[0]: result.x.to_dict(),
        result.transform_names[1]: result.y.to_dict(),
        "rms_m": result.rms_m,
        "rms_rad": result.rms_rad,
        "residuals": [
            {"name": r.name, "metres": r.translation_m, "radians": r.rotation_rad, "dropped": r.reason}
            for r in result.residuals
        ],
        "skipped": [{"name": name, "reason": reason} for name, reason in skipped],
    }


def _load_poses(path: Path, images: Path | None) -> tuple[list[RobotPose], Path]:
    """Parse a file of poses, or the one in a folder; also return the folder of their pictures."""
    files = [path / name for name in POSE_FILES if (path / name).is_file()] if path.is_dir() else [path]
    if not files:
        raise SettingsError(f"{path} holds neither {' nor '.join(POSE_FILES)}")
    file = files[0]
    try:
        return parse_poses(str(file), to_utf8(file.read_bytes()).decode()), images or file.parent
    except OSError as error:
        raise SettingsError(f"cannot read {file}: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise SettingsError(f"{file} is no text; expected JSON or CSV") from None


def _collect_stations(
    poses: list[RobotPose], folder: Path, board: CalibrationBoard | None, camera: CameraModel
) -> tuple[list[HandEyeStation], dict[str, BoardDetection], list[tuple[str, str]]]:
    """Return poses with a board, recorded or detected in the picture; and the others with the reason."""
    if board is not None and not board.has_unique_orientation:
        raise SettingsError(
            f"a chessboard of {board.columns} x {board.rows} corners is symmetric and determines no pose; use "
            "ChArUco, or one with an odd and an even number of corners"
        )
    stations, detections, skipped = list[HandEyeStation](), dict[str, BoardDetection](), list[tuple[str, str]]()
    for pose in poses:
        camera_from_board = pose.camera_from_board
        if camera_from_board is None:
            if board is None:
                raise SettingsError(
                    f"pose {pose.name} has no camera_from_board; give it, or --board to find it in pictures"
                )
            try:
                detections[pose.name], camera_from_board = _locate_board(folder / pose.name, board, camera)
            except CalibrationError as error:
                skipped.append((pose.name, str(error)))
                continue
        stations.append(HandEyeStation(pose.name, pose.base_from_gripper, camera_from_board))
    return stations, detections, skipped


def _locate_board(path: Path, board: CalibrationBoard, camera: CameraModel) -> tuple[BoardDetection, RigidTransform]:
    """Return the board in a picture and its pose; raises `CalibrationError` with the reason if there is none."""
    if not path.is_file():
        raise CalibrationError("no such picture")
    try:
        image = read_picture(path)
    except PictureError as error:
        raise CalibrationError(error.reason) from None
    if image.shape[1::-1] != camera.size:
        raise CalibrationError(
            f"is {image.shape[1]} x {image.shape[0]}, the camera {camera.size[0]} x {camera.size[1]}"
        )
    detection = board.detect(image, path.stem)
    if detection is None:
        raise CalibrationError("no board found")
    estimate = estimate_pose(camera, detection.object_points, detection.points_px)
    if estimate.rms_px > MAX_RMS_PX:
        raise CalibrationError(f"the board fits only to {estimate.rms_px:.1f} px")
    return detection, estimate.camera_from_board


def _compare_corners(
    result: HandEyeResult, stations: list[HandEyeStation], detections: dict[str, BoardDetection], camera: CameraModel
) -> list[ReportPanel]:
    """Draw detected and predicted corners; nothing without pictures."""
    found, predicted = [], []
    for station in (station for station in stations if station.name in detections):
        gripper, detection = station.base_from_gripper, detections[station.name]
        moving = gripper.inverse() if result.setup == "eye-in-hand" else gripper
        camera_from_board = result.x.pose.inverse() @ moving @ result.y.pose
        found.append(detection.points_px)
        predicted.append(project_board(camera, camera_from_board, detection.object_points))
    if not found:
        return []
    return report_hand_eye.draw_corner_errors(camera.size, np.concatenate(found), np.concatenate(predicted))


def _compare_methods(result: HandEyeResult, stations: list[HandEyeStation]) -> tuple[str, float, float] | None:
    """Return the distance of OpenCV's Park method from the result; None if unavailable or already used."""
    if result.method == "park":
        return None
    try:
        other = solve_hand_eye(stations, result.setup, method="park", reject_outliers=False)
    except CalibrationError:
        return None
    return "OpenCV's Park", *result.x.pose.distance_to(other.x.pose)


def _format_residuals(result: HandEyeResult) -> Iterator[str]:
    yield f"  {'pose':32} {'mm':>8} {'degrees':>9}"
    for r in result.residuals:
        off = f"{1000 * r.translation_m:8.2f} {math.degrees(r.rotation_rad):9.3f}"
        yield f"  {r.name:32} {off}  {r.reason and 'left out: ' + r.reason}".rstrip()
