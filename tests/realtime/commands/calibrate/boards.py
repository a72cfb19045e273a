"""Pictures of boards for the verbs: a clip of one that is shown everywhere, and photos from a robot's wrist."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np

from calibration import CalibrationRecord, record
from calibration.boards import parse_board
from calibration.rigid import RigidTransform
from tests.calibration.cameras import WEBCAM
from tests.calibration.render import facing, photograph
from tests.calibration.robots import BASE_FROM_BOARD, GRIPPER_FROM_CAMERA

SPEC = "charuco:7x5:40mm:30mm:5X5_100"
BOARD = parse_board(SPEC)
LEANS = ((0, 0.5, 0), (0, -0.5, 0), (0.5, 0, 0), (-0.5, 0, 0))


def poses() -> list[RigidTransform]:
    """Everywhere in the webcam's picture, leaning each way."""
    found = []
    for number, (x, y) in enumerate([(x, y) for x in (90, 230, 410, 550) for y in (80, 240, 400)]):
        ray = WEBCAM.unproject([(x, y)])[0]
        found.append(facing(BOARD, 0.6, LEANS[number % 4], tuple(0.6 * ray[:2] / ray[2])))
    return [*found, *(facing(BOARD, 0.5, lean, (0.02, 0)) for lean in LEANS)]


def write_clip(folder: Path) -> Path:
    """A folder of frames in which each pose is held for two."""
    folder.mkdir()
    for number, pose in enumerate(poses()):
        image = photograph(WEBCAM, BOARD, pose, noise=2, seed=number, scale=1)
        for turn in (0, 1):
            cv2.imwrite(str(folder / f"{2 * number + turn:03}.png"), image)
    return folder


def write_camera(path: Path) -> Path:
    body = {"camera": WEBCAM.to_dict()}
    record.save_record(path, CalibrationRecord("camera", "", "wrist", WEBCAM.size, "2026-11-22T10:00:00+00:00", body))
    return path


def write_robot(folder: Path, count: int = 12) -> Path:
    """Photos of the board from a camera on a gripper, with the gripper's poses; one of them of another moment."""
    folder.mkdir()
    rng, items = np.random.default_rng(4), []
    for number in range(count):
        turn, aside = rng.uniform((-0.5, -0.5, -2), (0.5, 0.5, 2)), rng.uniform(-0.05, 0.05, 2)
        pose = facing(BOARD, float(rng.uniform(0.45, 0.6)), tuple(turn), tuple(aside))
        hand = BASE_FROM_BOARD @ pose.inverse() @ GRIPPER_FROM_CAMERA.inverse()
        if number == 5:
            hand = RigidTransform.from_rotvec([0, 0, 0.02], [0.03, 0, 0]) @ hand
        name = f"{number:02}.png"
        cv2.imwrite(str(folder / name), photograph(WEBCAM, BOARD, pose, noise=2, seed=number))
        items.append({"name": name, "base_from_gripper": hand.to_dict()})
    items.append({"name": "lost.png", "base_from_gripper": GRIPPER_FROM_CAMERA.to_dict()})
    (folder / "poses.json").write_text(json.dumps(items))
    return folder
