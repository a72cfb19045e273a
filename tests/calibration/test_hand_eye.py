"""Tests hand-eye calibration within the noise, against OpenCV, with its residuals and covariance."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest

from calibration import CalibrationError
from calibration.hand_eye import HandEyeStation, Method, Setup, solve_hand_eye
from calibration.rigid import RigidTransform, rotvec_from_rotation
from tests.calibration.robots import (
    BASE_FROM_BOARD,
    GRIPPER_FROM_CAMERA,
    eye_in_hand,
    eye_to_hand,
)

BASE_FROM_CAMERA = RigidTransform.from_rotvec([1.9, 0.1, -0.2], [0.9, -0.3, 0.7])
GRIPPER_FROM_BOARD = RigidTransform.from_rotvec([0.2, 0.1, 0.9], [0.01, 0.02, 0.08])
METHODS = ("joint", "tsai", "park", "horaud", "andreff", "daniilidis")
has_opencvs = pytest.mark.skipif(not hasattr(cv2, "calibrateHandEye"), reason="this OpenCV has no calibrateHandEye")


def stations(
    setup: Setup = "eye-in-hand", seed: int = 0, count: int = 15, sigma_m: float = 0.0, sigma_rad: float = 0.0
) -> list[HandEyeStation]:
    rng = np.random.default_rng(seed)
    if setup == "eye-in-hand":
        pairs = eye_in_hand(rng, count, sigma_m, sigma_rad)
    else:
        pairs = eye_to_hand(rng, count, sigma_m, sigma_rad, BASE_FROM_CAMERA, GRIPPER_FROM_BOARD)
    return [HandEyeStation(f"{number:02}", *pair) for number, pair in enumerate(pairs)]


def truth(setup: Setup) -> tuple[RigidTransform, RigidTransform]:
    if setup == "eye-in-hand":
        return GRIPPER_FROM_CAMERA, BASE_FROM_BOARD
    return BASE_FROM_CAMERA, GRIPPER_FROM_BOARD


both_setups = pytest.mark.parametrize("setup", ["eye-in-hand", "eye-to-hand"])


@both_setups
def test_without_noise_it_is_exact(setup: Setup) -> None:
    result = solve_hand_eye(stations(setup), setup)
    for found, expected in zip((result.x.pose, result.y.pose), truth(setup), strict=True):
        assert max(found.distance_to(expected)) < 1e-7
    assert result.rms_m < 1e-9
    assert len(result.accepted) == 15


@both_setups
def test_fifteen_poses_with_1_mm_and_2_mrad_of_noise(setup: Setup) -> None:
    """Medians over 24 robots. 2 mrad over 15 poses leave at least 0.03 degrees (2 / sqrt(15) mrad)."""
    errors = []
    for seed in range(24):
        result = solve_hand_eye(stations(setup, seed, sigma_m=1e-3, sigma_rad=2e-3), setup)
        errors.append(result.x.pose.distance_to(truth(setup)[0]))
    metres, radians = np.median(errors, axis=0)
    assert 1000 * metres <= 1.2
    assert math.degrees(radians) <= 0.04
    assert 1000 * np.max(errors, axis=0)[0] < 2.5


@both_setups
def test_the_covariance_is_that_of_the_errors(setup: Setup) -> None:
    """Normalised errors squared have a mean of 6 where sigma is known, and some more where it is estimated."""
    sums = []
    for seed in range(40):
        result = solve_hand_eye(stations(setup, seed, sigma_m=1e-3, sigma_rad=2e-3), setup, reject_outliers=False)
        for known, expected in zip((result.x, result.y), truth(setup), strict=True):
            error = np.append(
                known.pose.translation_m - expected.translation_m,
                rotvec_from_rotation(known.pose.rotation @ expected.rotation.T),
            )
            sums.append(error @ np.linalg.solve(known.covariance, error))
    assert 4.5 < np.mean(sums) < 9


@has_opencvs
@pytest.mark.parametrize("method", METHODS[1:])
@both_setups
def test_opencvs_methods_agree_with_ours(method: Method, setup: Setup) -> None:
    exact = solve_hand_eye(stations(setup), setup, method=method)
    assert max(exact.x.pose.distance_to(truth(setup)[0])) < 1e-6
    noisy = stations(setup, seed=3, sigma_m=1e-3, sigma_rad=2e-3)
    ours, theirs = (
        solve_hand_eye(noisy, setup, reject_outliers=False),
        solve_hand_eye(noisy, setup, method=method, reject_outliers=False),
    )
    metres, radians = ours.x.pose.distance_to(theirs.x.pose)
    assert 1000 * metres < 1.5
    assert math.degrees(radians) < 0.1
    assert theirs.method == method


@has_opencvs
def test_the_requested_method_is_used() -> None:
    """As the fifth positional argument it would be ignored silently, and all five would agree exactly."""
    noisy = stations(seed=4, sigma_m=1e-3, sigma_rad=2e-3)
    places = {
        tuple(solve_hand_eye(noisy, "eye-in-hand", method=m, reject_outliers=False).x.pose.translation_m)
        for m in METHODS
    }
    assert len(places) == len(METHODS)


def test_it_works_on_average_better_than_where_it_starts() -> None:
    """The joint solution against Park's alone, both ours and OpenCV's start from the same numbers."""
    if not hasattr(cv2, "calibrateHandEye"):
        pytest.skip("this OpenCV has no calibrateHandEye to compare with")
    ours, parks = [], []
    for seed in range(15):
        noisy = stations(seed=seed, sigma_m=1e-3, sigma_rad=2e-3)
        ours.append(
            solve_hand_eye(noisy, "eye-in-hand", reject_outliers=False).x.pose.distance_to(GRIPPER_FROM_CAMERA)[0]
        )
        park = solve_hand_eye(noisy, "eye-in-hand", method="park", reject_outliers=False)
        parks.append(park.x.pose.distance_to(GRIPPER_FROM_CAMERA)[0])
    assert np.mean(ours) < np.mean(parks)


def test_without_opencvs_methods_the_joint_one_works_and_others_raise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(cv2, "calibrateHandEye", raising=False)
    assert max(solve_hand_eye(stations(), "eye-in-hand").x.pose.distance_to(GRIPPER_FROM_CAMERA)) < 1e-7
    with pytest.raises(CalibrationError, match="use the method joint"):
        solve_hand_eye(stations(), "eye-in-hand", method="tsai")


@both_setups
def test_a_pose_of_another_moment_is_named_and_dropped(setup: Setup) -> None:
    wrong = stations(setup, seed=2, sigma_m=3e-4, sigma_rad=5e-4)
    moved = RigidTransform.from_rotvec([0, 0, 0.03], [0.02, 0, 0])
    wrong[6] = HandEyeStation("06", wrong[6].base_from_gripper @ moved, wrong[6].camera_from_board)
    result = solve_hand_eye(wrong, setup)
    dropped = [residual for residual in result.residuals if residual.reason]
    assert [residual.name for residual in dropped] == ["06"]
    assert "times the median" in dropped[0].reason
    assert result.x.pose.distance_to(truth(setup)[0])[0] < 0.001
    assert not [
        residual for residual in solve_hand_eye(wrong, setup, reject_outliers=False).residuals if residual.reason
    ]


def test_the_wrong_setup_shows_in_the_residuals() -> None:
    result = solve_hand_eye(stations("eye-to-hand"), "eye-in-hand", reject_outliers=False)
    assert result.rms_m > 0.02


def test_too_few_or_parallel_rotations_are_refused() -> None:
    with pytest.raises(CalibrationError, match="too few"):
        solve_hand_eye(stations(count=3), "eye-in-hand")
    with pytest.raises(CalibrationError, match="too few"):
        solve_hand_eye([], "eye-in-hand")

    def about_z(angles: np.ndarray, wobble: float = 0.0) -> list[HandEyeStation]:
        rng, found = np.random.default_rng(0), []
        for number, angle in enumerate(angles):
            turn = RigidTransform.from_rotvec([*rng.normal(0, wobble, 2), angle], rng.uniform(-0.1, 0.1, 3))
            hand = RigidTransform.from_rotvec([math.pi, 0, 0], [0.5, 0, 0.5]) @ turn
            camera_from_board = (hand @ GRIPPER_FROM_CAMERA).inverse() @ BASE_FROM_BOARD
            found.append(HandEyeStation(str(number), hand, camera_from_board))
        return found

    with pytest.raises(CalibrationError, match="one axis only"):
        solve_hand_eye(about_z(np.linspace(0, 2, 10)), "eye-in-hand")
    with pytest.raises(CalibrationError, match="at most"):
        solve_hand_eye(about_z(np.linspace(0, 0.05, 10)), "eye-in-hand")
    assert solve_hand_eye(about_z(np.linspace(0, 2, 10), wobble=0.3), "eye-in-hand").rms_m < 1e-6


def test_unknown_names_are_refused() -> None:
    with pytest.raises(CalibrationError, match="eye-in-hand"):
        solve_hand_eye(stations(), "hand-in-eye")  # type: ignore[arg-type]
    with pytest.raises(CalibrationError, match="joint"):
        solve_hand_eye(stations(), "eye-in-hand", method="best")  # type: ignore[arg-type]
