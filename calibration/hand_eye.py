"""Solves hand-eye calibration with residuals and covariance.

    eye in hand: the camera is on the gripper, the board lies still      X = gripper_from_camera, Y = base_from_board
    eye to hand: the camera stands still, the board is on the gripper    X = base_from_camera, Y = gripper_from_board

For every pose i, H_i X camera_from_board_i = Y, where H_i is base_from_gripper_i, or its inverse for eye to hand.
Solved here without OpenCV: Park & Martin (1994) for a start, then X and Y jointly by least squares over all poses,
rotations and translations weighted by their residuals. OpenCV's five methods may be selected where it has them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import cv2
import numpy as np

from calibration.errors import CalibrationError
from calibration.lens import Floats
from calibration.rigid import RigidTransform, average_poses, rotvecs_from_rotations
from calibration.uncertain_transform import UncertainTransform

Setup = Literal["eye-in-hand", "eye-to-hand"]
Method = Literal["joint", "tsai", "park", "horaud", "andreff", "daniilidis"]
MIN_POSES = 4
RECOMMENDED_POSES = 12
MIN_ROTATION_RAD = math.radians(10)
MAX_RESIDUAL_RATIO = 4.0
"""A pose whose residual is over this many times the median is dropped."""
_STEP = 1e-6
_MIN_SIGMA_M, _MIN_SIGMA_RAD = 1e-5, 1e-5
"""Noise floor, which prevents a division by zero for perfect data."""


@dataclass(frozen=True, slots=True, eq=False)
class HandEyeStation:
    """A robot pose that is paired with the camera's detection of the board."""

    name: str
    base_from_gripper: RigidTransform
    camera_from_board: RigidTransform


@dataclass(frozen=True, slots=True, eq=False)
class StationResidual:
    """Holds the board's distance, in the camera's frame, from its predicted pose. reason: of the rejection, or ""."""

    name: str
    translation_m: float
    rotation_rad: float
    reason: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class HandEyeResult:
    """Holds the transforms X and Y, named in the module's table, and their quality.

    rms: over the accepted stations. max_rotation_rad: between two stations; secondary_rotation_rad: the
    rms rotation about axes perpendicular to the main one.
    """

    setup: Setup
    method: Method
    x: UncertainTransform
    y: UncertainTransform
    rms_m: float
    rms_rad: float
    residuals: tuple[StationResidual, ...]
    max_rotation_rad: float
    secondary_rotation_rad: float

    @property
    def transform_names(self) -> tuple[str, str]:
        """The names of x and y, `target_from_source`."""
        if self.setup == "eye-in-hand":
            return "gripper_from_camera", "base_from_board"
        return "base_from_camera", "gripper_from_board"

    @property
    def accepted(self) -> tuple[StationResidual, ...]:
        """The residuals of the accepted stations."""
        return tuple(residual for residual in self.residuals if not residual.reason)


def solve_hand_eye(
    stations: Sequence[HandEyeStation], setup: Setup, *, method: Method = "joint", reject_outliers: bool = True
) -> HandEyeResult:
    """Solve for X and Y. Raises `CalibrationError` for too few stations or rotation axes.

    reject_outliers: reject outlying stations, the worst first, at most a third.
    """
    if setup not in get_args(Setup) or method not in get_args(Method):
        raise CalibrationError(
            f"expected a setup of {', '.join(get_args(Setup))} and a method of {', '.join(get_args(Method))}, "
            f"got {setup!r} and {method!r}"
        )
    kept, bad = list(stations), list[StationResidual]()
    while True:
        max_rotation, secondary_rotation = _measure_rotations(kept)
        problem = _HandEyeProblem(kept, setup)
        x = _solve_park_martin(problem) if method == "joint" else _solve_opencv(problem, method)
        y = average_poses([h @ x @ c for h, c in zip(problem.robot_poses, problem.board_poses, strict=True)])
        x, y, spread_x, spread_y = _refine_jointly(problem, x, y, optimize=method == "joint")
        metres, radians = (np.linalg.norm(each, axis=1) for each in problem.residuals(x, y))
        worst, ratio = _find_worst(metres, radians)
        is_enough = len(kept) <= max(MIN_POSES, RECOMMENDED_POSES // 2) or len(bad) >= len(stations) // 3
        if not reject_outliers or is_enough or ratio <= MAX_RESIDUAL_RATIO:
            break
        reason = (
            f"{1000 * metres[worst]:.1f} mm and {math.degrees(radians[worst]):.2f} deg off, {ratio:.0f} times the "
            "median: the robot still moved, its pose is of another moment, or the board was badly seen"
        )
        bad.append(StationResidual(kept[worst].name, float(metres[worst]), float(radians[worst]), reason))
        del kept[worst]
    residuals = [StationResidual(s.name, float(m), float(r)) for s, m, r in zip(kept, metres, radians, strict=True)]
    return HandEyeResult(
        setup, method, UncertainTransform(x, spread_x), UncertainTransform(y, spread_y), _rms(metres), _rms(radians),
        tuple(sorted(residuals + bad, key=lambda residual: residual.name)), max_rotation, secondary_rotation,
    )  # fmt: skip


class _HandEyeProblem:
    def __init__(self, stations: Sequence[HandEyeStation], setup: Setup) -> None:
        is_eye_to_hand = setup == "eye-to-hand"
        self.robot_poses = [s.base_from_gripper.inverse() if is_eye_to_hand else s.base_from_gripper for s in stations]
        self.board_poses = [s.camera_from_board for s in stations]
        self.stacks = [
            (np.array([pose.rotation for pose in poses]), np.array([pose.translation_m for pose in poses]))
            for poses in (self.robot_poses, self.board_poses)
        ]

    def residuals(self, x: RigidTransform, y: RigidTransform) -> tuple[Floats, Floats]:
        """Compare the predicted board, inverse(X) inverse(H) Y, with the detected one: (N, 3) m, (N, 3) rad."""
        (hand_r, hand_t), (board_r, board_t) = self.stacks
        predicted_rotations = y.rotation.T @ hand_r @ x.rotation  # (N, 3, 3), board_from_camera as predicted
        predicted_translations = np.einsum("nji,nj->ni", hand_r, y.translation_m - hand_t) - x.translation_m
        return predicted_translations @ x.rotation - board_t, rotvecs_from_rotations(board_r @ predicted_rotations)


def _measure_rotations(stations: Sequence[HandEyeStation]) -> tuple[float, float]:
    """Measure the largest rotation and the rms perpendicular to the main axis, radians; raises where too small."""
    if len(stations) < MIN_POSES:
        raise CalibrationError(
            f"{len(stations)} poses are too few; expected {MIN_POSES} at least, and better "
            f"{RECOMMENDED_POSES} to 15, each turned otherwise"
        )
    rotations = np.array([station.base_from_gripper.rotation for station in stations])
    first, second = np.triu_indices(len(rotations), 1)
    vectors = rotvecs_from_rotations(np.swapaxes(rotations[first], 1, 2) @ rotations[second])
    largest = float(np.linalg.norm(vectors, axis=1).max())
    spreads = np.linalg.svd(vectors, compute_uv=False) / math.sqrt(len(vectors))
    if largest < MIN_ROTATION_RAD:
        raise CalibrationError(
            f"the gripper turned by {math.degrees(largest):.1f} degrees at most; turn it by 30 and more between poses"
        )
    if spreads[1] < math.radians(2) or spreads[1] < 0.05 * spreads[0]:
        raise CalibrationError(
            "the gripper turned about one axis only, which leaves the camera's place along it open; turn it about "
            "a second axis as well, by 30 degrees and more"
        )
    return largest, float(spreads[1])


def _solve_park_martin(problem: _HandEyeProblem) -> RigidTransform:
    """Solve A X = X B for all pairs (Park & Martin): rotation by aligning axes, translation by least squares."""
    (hand_r, hand_t), (board_r, board_t) = problem.stacks
    i, j = np.triu_indices(len(hand_r), 1)
    back, towards = np.swapaxes(hand_r[j], 1, 2), np.swapaxes(board_r[i], 1, 2)
    a_r, b_r = back @ hand_r[i], board_r[j] @ towards  # A = inverse(H_j) H_i, B = board_j inverse(board_i)
    a_t = np.einsum("nij,nj->ni", back, hand_t[i] - hand_t[j])
    b_t = board_t[j] - np.einsum("nij,nj->ni", b_r, board_t[i])
    a_axes, b_axes = rotvecs_from_rotations(a_r), rotvecs_from_rotations(b_r)
    is_unambiguous = np.linalg.norm(a_axes, axis=1) < math.radians(170)  # a rotation by 180 degrees has two axes
    left, _, right = np.linalg.svd(a_axes[is_unambiguous].T @ b_axes[is_unambiguous])
    rotation = left @ np.diag([1, 1, np.linalg.det(left @ right)]) @ right
    rows, right_side = (a_r - np.eye(3)).reshape(-1, 3), (b_t @ rotation.T - a_t).ravel()
    return RigidTransform(rotation, np.linalg.lstsq(rows, right_side, rcond=None)[0])


def _solve_opencv(problem: _HandEyeProblem, method: Method) -> RigidTransform:
    calibrate = getattr(cv2, "calibrateHandEye", None)
    if calibrate is None:
        raise CalibrationError(
            f"OpenCV {cv2.__version__} has no calibrateHandEye, as the 5.0 wheels; use the method joint, which is ours"
        )
    number = getattr(cv2, f"CALIB_HAND_EYE_{method.upper()}")
    (hand_r, hand_t), (board_r, board_t) = problem.stacks
    # A fifth positional argument would be an output array, and TSAI would be used silently.
    rotation, translation = calibrate(list(hand_r), list(hand_t), list(board_r), list(board_t), method=number)
    if not np.isfinite(rotation).all() or not np.isfinite(translation).all():
        raise CalibrationError(f"OpenCV's {method} finds nothing for these poses; use the method joint")
    return RigidTransform(np.asarray(rotation, np.float64), np.asarray(translation, np.float64).ravel())


def _refine_jointly(
    problem: _HandEyeProblem, x: RigidTransform, y: RigidTransform, *, optimize: bool
) -> tuple[RigidTransform, RigidTransform, Floats, Floats]:
    """Refine X and Y jointly by Gauss-Newton, and compute the (6, 6) covariance of each.

    Rotations are weighted against translations by their residuals, updated in each iteration.
    """
    steps = _STEP * np.eye(12)
    for _ in range(12 if optimize else 1):
        metres, radians = problem.residuals(x, y)
        degrees_of_freedom = max(1.0, metres.size - 6)  # half of the 12 parameters are translations
        sigma_m = max(math.sqrt(float((metres**2).sum()) / degrees_of_freedom), _MIN_SIGMA_M)
        sigma_rad = max(math.sqrt(float((radians**2).sum()) / degrees_of_freedom), _MIN_SIGMA_RAD)
        shifted = [_scaled_residuals(problem, x, y, (sigma_m, sigma_rad), step) for step in (*steps, *-steps)]
        jacobian = np.column_stack([(shifted[i] - shifted[i + 12]) / (2 * _STEP) for i in range(12)])
        if not optimize:
            break
        residual = _scaled_residuals(problem, x, y, (sigma_m, sigma_rad), np.zeros(12))
        step = np.asarray(np.linalg.lstsq(jacobian, -residual, rcond=None)[0], np.float64)
        x, y = x.perturb(step[:6]), y.perturb(step[6:])
        if np.abs(step).max() < 1e-10:
            break
    covariance = np.asarray(np.linalg.pinv(jacobian.T @ jacobian, hermitian=True), np.float64)
    return x, y, covariance[:6, :6], covariance[6:, 6:]


def _scaled_residuals(
    problem: _HandEyeProblem, x: RigidTransform, y: RigidTransform, sigmas: tuple[float, float], step: Floats
) -> Floats:
    """Compute the (6 N,) residuals in sigmas (m, rad) after a (12,) step of X and Y."""
    residuals = problem.residuals(x.perturb(step[:6]), y.perturb(step[6:]))
    return np.concatenate([each.ravel() / sigma for each, sigma in zip(residuals, sigmas, strict=True)])


def _find_worst(metres: Floats, radians: Floats) -> tuple[int, float]:
    """Find the station with the largest residual, in multiples of the median, in translation or rotation."""
    ratios = np.maximum(metres / max(float(np.median(metres)), 1e-4), radians / max(float(np.median(radians)), 1e-4))
    return int(np.argmax(ratios)), float(ratios.max())


def _rms(values: Floats) -> float:
    return math.sqrt(float((values**2).mean()))
