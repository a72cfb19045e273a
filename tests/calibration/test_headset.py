"""Tests a headset's pose in the robot's frame by a shared board, which must be recent."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from calibration.boards import parse_board
from calibration.headset import BoardLost, SharedBoard, compute_base_from_headset
from calibration.pose import BoardPose, estimate_pose, project_board
from calibration.rigid import RigidTransform, rotvec_from_rotation
from calibration.uncertain_transform import UncertainTransform
from tests.calibration.cameras import NEON
from tests.calibration.render import facing

BOARD = parse_board("charuco:7x10:30mm:20mm:6X6_250")
BASE_FROM_BOARD = RigidTransform.from_rotvec([0.05, 0.02, -0.4], [0.55, 0.1, 0.02])
HEADSET_FROM_BOARD = facing(BOARD, 0.7, (0.4, -0.3, 0.5), (0.1, 0.02))
TRUTH = BASE_FROM_BOARD @ HEADSET_FROM_BOARD.inverse()


def detect_board(sigma_px: float = 0.0, seed: int = 0) -> BoardPose:
    pixels = project_board(NEON, HEADSET_FROM_BOARD, BOARD.corner_points())
    return estimate_pose(
        NEON, BOARD.corner_points(), pixels + np.random.default_rng(seed).normal(0, sigma_px, pixels.shape)
    )


def test_a_ray_of_the_headset_in_the_robots_frame() -> None:
    """The ray to a corner of the board passes through its known position."""
    known = compute_base_from_headset(UncertainTransform.exact(BASE_FROM_BOARD), detect_board())
    corner = BOARD.corner_points()[17]
    ray = NEON.unproject(project_board(NEON, HEADSET_FROM_BOARD, corner[None]))[0]
    origin, way = known.pose.translation_m, known.pose.rotate(ray)
    target = BASE_FROM_BOARD.apply(corner)
    assert np.linalg.norm(np.cross(target - origin, way)) < 1e-5


def test_its_covariance_holds_both_errors() -> None:
    rng, errors, sigmas = np.random.default_rng(0), [], []
    spread = np.diag([1e-3, 1e-3, 2e-3, 2e-3, 2e-3, 2e-3]) ** 2
    for seed in range(150):
        step = rng.normal(0, np.sqrt(np.diag(spread)))
        turned = RigidTransform.from_rotvec(step[3:], np.zeros(3)).rotation @ BASE_FROM_BOARD.rotation
        board = UncertainTransform(RigidTransform(turned, BASE_FROM_BOARD.translation_m + step[:3]), spread)
        known = compute_base_from_headset(board, detect_board(0.3, seed))
        error = np.append(
            known.pose.translation_m - TRUTH.translation_m,
            rotvec_from_rotation(known.pose.rotation @ TRUTH.rotation.T),
        )
        errors.append(error @ np.linalg.solve(known.covariance, error))
        sigmas.append(known.sigma_m)
    assert np.mean(errors) == pytest.approx(6, abs=0.9)
    assert np.mean(sigmas) > math.sqrt(6e-6)  # more than the board's own


def test_an_old_detection_is_refused() -> None:
    board = SharedBoard(UncertainTransform.exact(BASE_FROM_BOARD))
    with pytest.raises(BoardLost, match="not been seen"):
        board.base_from_headset_at(0.0)
    assert board.observe(detect_board(), 10.0)
    for at in (10.0, 10.09, 9.95):
        assert max(board.base_from_headset_at(at).pose.distance_to(TRUTH)) < 1e-5
    for at in (10.2, 9.0, math.nan, math.inf):
        with pytest.raises(BoardLost):
            board.base_from_headset_at(at)


def test_an_older_or_poor_detection_is_ignored() -> None:
    board = SharedBoard(UncertainTransform.exact(BASE_FROM_BOARD))
    assert not board.observe(replace(detect_board(), rms_px=5.0), 10.0)
    assert board.observe(detect_board(), 10.0)
    assert not board.observe(detect_board(), 9.9)
    assert board.observe(detect_board(), 10.03)
