"""Tests a board's pose and its covariance for every camera."""

from __future__ import annotations

import numpy as np
import pytest

from calibration import CalibrationError, CameraModel
from calibration.boards import parse_board
from calibration.pose import estimate_pose, project_board
from calibration.rigid import RigidTransform, rotvec_from_rotation
from tests.calibration.cameras import CAMERAS, WEBCAM
from tests.calibration.render import facing

BOARD = parse_board("charuco:7x10:30mm:20mm:6X6_250")


@pytest.mark.parametrize("camera", CAMERAS.values(), ids=CAMERAS.keys())
@pytest.mark.parametrize("turn", [(0.0, 0, 0), (0.5, 0.2, 1.0), (-0.3, 0.6, -2.5)])
def test_exact_corners_give_the_exact_pose(camera: CameraModel, turn: tuple[float, float, float]) -> None:
    truth = facing(BOARD, 0.9, turn, (0.05, -0.03))
    found = estimate_pose(camera, BOARD.corner_points(), project_board(camera, truth, BOARD.corner_points()))
    metres, radians = found.camera_from_board.distance_to(truth)
    assert metres < 1e-6
    assert radians < 1e-6
    assert found.rms_px < 1e-4


def test_points_out_of_a_plane_work_too() -> None:
    points = np.random.default_rng(0).uniform(-0.2, 0.2, (12, 3))
    truth = RigidTransform.from_rotvec([0.4, 0.8, -0.2], [0.05, 0.02, 1.2])
    found = estimate_pose(WEBCAM, points, project_board(WEBCAM, truth, points))
    assert max(found.camera_from_board.distance_to(truth)) < 1e-6


def test_the_covariance_is_that_of_the_errors() -> None:
    """Normalised errors squared have a mean of 6; 300 draws put it within 6 +- 0.6."""
    rng, sigma_px = np.random.default_rng(1), 0.3
    truth = facing(BOARD, 0.8, (0.4, -0.3, 0.5))
    exact = project_board(WEBCAM, truth, BOARD.corner_points())
    sums = []
    for _ in range(300):
        found = estimate_pose(WEBCAM, BOARD.corner_points(), exact + rng.normal(0, sigma_px, exact.shape))
        pose = found.camera_from_board
        error = np.append(
            pose.translation_m - truth.translation_m, rotvec_from_rotation(pose.rotation @ truth.rotation.T)
        )
        sums.append(error @ np.linalg.solve(found.covariance, error))
    assert np.mean(sums) == pytest.approx(6, abs=0.6)


def test_a_board_that_faces_the_camera_has_its_leans_least_certain() -> None:
    exact = project_board(WEBCAM, facing(BOARD, 0.8), BOARD.corner_points())
    spread = estimate_pose(WEBCAM, BOARD.corner_points(), exact, sigma_px=0.2).covariance
    assert spread[3, 3] > 10 * spread[5, 5]
    assert spread[2, 2] > spread[0, 0] / 10


def test_corners_outside_the_picture_do_not_count() -> None:
    truth = facing(BOARD, 0.8, (0.2, 0.3, 0))
    pixels = project_board(WEBCAM, truth, BOARD.corner_points())
    pixels[:5] = (-50, 3)
    assert max(estimate_pose(WEBCAM, BOARD.corner_points(), pixels).camera_from_board.distance_to(truth)) < 1e-6


@pytest.mark.parametrize("count", [0, 3])
def test_too_few_corners_are_refused(count: int) -> None:
    points = BOARD.corner_points()[:count]
    with pytest.raises(CalibrationError, match="4 corners"):
        estimate_pose(WEBCAM, points, np.full((count, 2), 100.0))


def test_coincident_corners_give_no_pose() -> None:
    points = BOARD.corner_points()[:6]
    try:
        found = estimate_pose(WEBCAM, points, np.full((6, 2), 100.0))
    except CalibrationError:
        return
    assert found.rms_px > 0.5 or found.camera_from_board.translation_m[2] > 50
