"""Writes pictures of boards for the verbs, as a clip or from a robot's wrist, and checks what the verbs report."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from calibration import CalibrationRecord, record
from calibration.boards import parse_board
from calibration.rigid import RigidTransform
from realtime.commands.main import main
from tests.calibration.cameras import WEBCAM
from tests.calibration.render import facing, photograph
from tests.calibration.robots import BASE_FROM_BOARD, GRIPPER_FROM_CAMERA

SPEC = "charuco:7x5:40mm:30mm:5X5_100"
BOARD = parse_board(SPEC)
TILTS = ((0, 0.5, 0), (0, -0.5, 0), (0.5, 0, 0), (-0.5, 0, 0))


def create_poses() -> list[RigidTransform]:
    """Create poses everywhere in the webcam's picture, leaning each way."""
    found = []
    for number, (x, y) in enumerate([(x, y) for x in (90, 230, 410, 550) for y in (80, 240, 400)]):
        ray = WEBCAM.unproject([(x, y)])[0]
        found.append(facing(BOARD, 0.6, TILTS[number % 4], tuple(0.6 * ray[:2] / ray[2])))
    return [*found, *(facing(BOARD, 0.5, tilt, (0.02, 0)) for tilt in TILTS)]


def write_clip(folder: Path) -> Path:
    """Write a folder of frames in which each pose is held for two."""
    folder.mkdir()
    for number, pose in enumerate(create_poses()):
        image = photograph(WEBCAM, BOARD, pose, noise=2, seed=number, scale=1)
        for index in (2 * number, 2 * number + 1):
            cv2.imwrite(str(folder / f"{index:03}.png"), image)
    return folder


def write_camera(path: Path) -> Path:
    body = {"camera": WEBCAM.to_dict()}
    record.save_record(path, CalibrationRecord("camera", "", "wrist", WEBCAM.size, "2026-11-22T10:00:00+00:00", body))
    return path


def write_robot(folder: Path, count: int = 12) -> Path:
    """Write photos of the board from a camera on a gripper, and the gripper's poses, one of them of another moment."""
    folder.mkdir()
    rng, items = np.random.default_rng(4), []
    for number in range(count):
        rotation, offset = rng.uniform((-0.5, -0.5, -2), (0.5, 0.5, 2)), rng.uniform(-0.05, 0.05, 2)
        pose = facing(BOARD, float(rng.uniform(0.45, 0.6)), tuple(rotation), tuple(offset))
        gripper = BASE_FROM_BOARD @ pose.inverse() @ GRIPPER_FROM_CAMERA.inverse()
        if number == 5:
            gripper = RigidTransform.from_rotvec([0, 0, 0.02], [0.03, 0, 0]) @ gripper
        name = f"{number:02}.png"
        cv2.imwrite(str(folder / name), photograph(WEBCAM, BOARD, pose, noise=2, seed=number))
        items.append({"name": name, "base_from_gripper": gripper.to_dict()})
    items.append({"name": "lost.png", "base_from_gripper": GRIPPER_FROM_CAMERA.to_dict()})
    (folder / "poses.json").write_text(json.dumps(items))
    return folder


def read_report(stem: Path) -> str:
    """Check the PNG of a report and return its HTML."""
    image = cv2.imread(f"{stem}.png")
    assert image is not None
    assert image.shape[1] == 1224
    return Path(f"{stem}.html").read_text()


def assert_refused(capsys: pytest.CaptureFixture[str], argv: tuple[str, ...], message: str, *codes: int) -> None:
    """Run a verb and check its exit code and the error message, which has no traceback."""
    assert main(["calibrate", *argv]) in codes
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error
