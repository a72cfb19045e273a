"""Simulates robots and boards for calibration tests.

Shares only `RigidTransform`, which has its own tests, with the code under test.
"""

from __future__ import annotations

import numpy as np

from calibration.rigid import RigidTransform

GRIPPER_FROM_CAMERA = RigidTransform.from_rotvec([0.1, -0.2, 1.5], [0.03, -0.06, 0.11])
BASE_FROM_BOARD = RigidTransform.from_rotvec([0.05, 0.02, -0.4], [0.55, 0.1, 0.02])


def noise(rng: np.random.Generator, sigma_m: float, sigma_rad: float) -> RigidTransform:
    """Sample a small rigid transform; the sigmas are the rms of its translation and rotation."""
    axis = 3**-0.5
    return RigidTransform.from_rotvec(rng.normal(0, axis * sigma_rad, 3), rng.normal(0, axis * sigma_m, 3))


def camera_above(rng: np.random.Generator, base_from_board: RigidTransform) -> RigidTransform:
    """Sample base_from_camera some 0.5 m above the board, tilted by up to 40 and rolled by up to 115 degrees."""
    board_from_camera = RigidTransform.from_rotvec([np.pi, 0, 0], rng.uniform((-0.1, -0.1, 0.35), (0.1, 0.1, 0.6)))
    return (
        base_from_board
        @ board_from_camera
        @ RigidTransform.from_rotvec(rng.uniform((-0.7, -0.7, -2), (0.7, 0.7, 2)), [0, 0, 0])
    )


def eye_in_hand(
    rng: np.random.Generator, count: int, sigma_m: float, sigma_rad: float
) -> list[tuple[RigidTransform, RigidTransform]]:
    """Sample (base_from_gripper, camera_from_board) with noise on the detections."""
    pairs = []
    for _ in range(count):
        base_from_camera = camera_above(rng, BASE_FROM_BOARD)
        camera_from_board = base_from_camera.inverse() @ BASE_FROM_BOARD
        pairs.append(
            (base_from_camera @ GRIPPER_FROM_CAMERA.inverse(), camera_from_board @ noise(rng, sigma_m, sigma_rad))
        )
    return pairs


def eye_to_hand(
    rng: np.random.Generator, count: int, sigma_m: float, sigma_rad: float, base_from_camera: RigidTransform,
    gripper_from_board: RigidTransform,
) -> list[tuple[RigidTransform, RigidTransform]]:  # fmt: skip
    """Sample the same for a fixed camera and a board in the gripper, some 0.7 m before it."""
    pairs = []
    for _ in range(count):
        camera_from_board = RigidTransform.from_rotvec(
            rng.uniform((-0.7, -0.7, -2), (0.7, 0.7, 2)), rng.uniform((-0.15, -0.15, 0.5), (0.15, 0.15, 0.8))
        )
        base_from_gripper = base_from_camera @ camera_from_board @ gripper_from_board.inverse()
        pairs.append((base_from_gripper, camera_from_board @ noise(rng, sigma_m, sigma_rad)))
    return pairs
