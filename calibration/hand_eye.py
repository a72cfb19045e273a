"""Where a camera sits on a robot, or beside it: hand-eye calibration with residuals and covariance.

    eye in hand: the camera is on the gripper, the board lies still      X = gripper_from_camera, Y = base_from_board
    eye to hand: the camera stands still, the board is on the gripper    X = base_from_camera, Y = gripper_from_board

For every pose i, H_i X camera_from_board_i = Y, where H_i is base_from_gripper_i, or its inverse for eye to hand.
Solved here without OpenCV: Park & Martin (1994) for a start, then X and Y jointly by least squares over all poses,
turns and places each weighted by what they turn out to be worth. OpenCV's five methods may be chosen where it has them.
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
from calibration.rigid import RigidTransform, mean_pose, rotation_from_rotvec, rotvecs_from_rotations
from calibration.uncertain_transform import UncertainTransform

Setup = Literal["eye-in-hand", "eye-to-hand"]
Method = Literal["joint", "tsai", "park", "horaud", "andreff", "daniilidis"]
FEWEST_POSES = 4
GOOD_POSES = 12
LEAST_TURN_RAD = math.radians(10)
BAD_RATIO = 4.0
"""A pose whose residual is this many times the median's is dropped."""
_LEAST_M, _LEAST_RAD = 1e-5, 1e-5
"""Noise below this is none; keeps perfect data from dividing by zero."""


@dataclass(frozen=True, slots=True, eq=False)
class HandEyeStation:
    """One pose of the robot and what the camera saw there."""

    name: str
    base_from_gripper: RigidTransform
    camera_from_board: RigidTransform


@dataclass(frozen=True, slots=True, eq=False)
class StationResidual:
    """How far the board was, in the camera's frame, from where the result puts it. reason: why dropped, or ""."""

    name: str
    metres: float
    radians: float
    reason: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class HandEyeResult:
    """The result. x, y: as the module's table names them; rms over the stations that were kept.

    turn_rad: the largest turn between two stations; second_turn_rad: the rms turn about axes across the main one.
    """

    setup: Setup
    method: Method
    x: UncertainTransform
    y: UncertainTransform
    rms_m: float
    rms_rad: float
    residuals: tuple[StationResidual, ...]
    turn_rad: float
    second_turn_rad: float

    @property
    def names(self) -> tuple[str, str]:
        """What x and y are, `target_from_source`."""
        if self.setup == "eye-in-hand":
            return "gripper_from_camera", "base_from_board"
        return "base_from_camera", "gripper_from_board"

    @property
    def kept(self) -> tuple[StationResidual, ...]:
        """Of the stations that the result stands on."""
        return tuple(residual for residual in self.residuals if not residual.reason)


def solve(
    stations: Sequence[HandEyeStation], setup: Setup, *, method: Method = "joint", drop: bool = True
) -> HandEyeResult:
    """Find X and Y. Raises `CalibrationError` for too few stations, or ones that do not turn about two axes.

    drop: leave out stations far off the others, the worst first, at most a third.
    """
    if setup not in get_args(Setup) or method not in get_args(Method):
        raise CalibrationError(
            f"expected a setup of {', '.join(get_args(Setup))} and a method of {', '.join(get_args(Method))}, "
            f"got {setup!r} and {method!r}"
        )
    kept, bad = list(stations), list[StationResidual]()
    while True:
        turn, second = _turns(kept)
        problem = _HandEyeProblem(kept, setup)
        x = _start(problem) if method == "joint" else _opencv(problem, method)
        y = mean_pose([h @ x @ c for h, c in zip(problem.hands, problem.boards, strict=True)])
        x, y, spread_x, spread_y = _settle(problem, x, y, move=method == "joint")
        metres, radians = problem.sizes(x, y)
        worst, ratio = _worst(metres, radians)
        enough = len(kept) <= max(FEWEST_POSES, GOOD_POSES // 2) or len(bad) >= len(stations) // 3
        if not drop or enough or ratio <= BAD_RATIO:
            break
        reason = (
            f"{1000 * metres[worst]:.1f} mm and {math.degrees(radians[worst]):.2f} deg off, {ratio:.0f} times the "
            "median: the robot still moved, its pose is of another moment, or the board was badly seen"
        )
        bad.append(StationResidual(kept[worst].name, float(metres[worst]), float(radians[worst]), reason))
        del kept[worst]
    said = [StationResidual(s.name, float(m), float(r)) for s, m, r in zip(kept, metres, radians, strict=True)]
    return HandEyeResult(
        setup, method, UncertainTransform(x, spread_x), UncertainTransform(y, spread_y), _rms(metres), _rms(radians),
        tuple(sorted(said + bad, key=lambda residual: residual.name)), turn, second,
    )  # fmt: skip


class _HandEyeProblem:
    """The stations as stacked arrays, and their residuals."""

    def __init__(self, stations: Sequence[HandEyeStation], setup: Setup) -> None:
        inward = setup == "eye-to-hand"
        self.hands = [s.base_from_gripper.inverse() if inward else s.base_from_gripper for s in stations]
        self.boards = [s.camera_from_board for s in stations]
        self.stacks = _stacked(self.hands), _stacked(self.boards)

    def residuals(self, x: RigidTransform, y: RigidTransform) -> tuple[Floats, Floats]:
        """(N, 3) m and (N, 3) rad: the board as predicted, inverse(X) inverse(H) Y, against the board as seen."""
        (hand_r, hand_t), (board_r, board_t) = self.stacks
        turned = y.rotation.T @ hand_r @ x.rotation  # (N, 3, 3), board_from_camera as predicted
        place = np.einsum("nji,nj->ni", hand_r, y.translation_m - hand_t) - x.translation_m
        metres = place @ x.rotation - board_t
        turns = rotvecs_from_rotations(board_r @ turned)
        return metres, turns

    def sizes(self, x: RigidTransform, y: RigidTransform) -> tuple[Floats, Floats]:
        """(N,) m and (N,) rad."""
        metres, turns = self.residuals(x, y)
        return np.linalg.norm(metres, axis=1), np.linalg.norm(turns, axis=1)


def _turns(stations: Sequence[HandEyeStation]) -> tuple[float, float]:
    """The largest turn and the rms turn across the main axis, radians; refuses what fixes no transform."""
    if len(stations) < FEWEST_POSES:
        raise CalibrationError(
            f"{len(stations)} poses are too few; expected {FEWEST_POSES} at least, and better {GOOD_POSES} to 15, each "
            "turned otherwise"
        )
    hands = np.array([station.base_from_gripper.rotation for station in stations])
    first, second = np.triu_indices(len(hands), 1)
    vectors = rotvecs_from_rotations(np.swapaxes(hands[first], 1, 2) @ hands[second])
    largest = float(np.linalg.norm(vectors, axis=1).max())
    spreads = np.linalg.svd(vectors, compute_uv=False) / math.sqrt(len(vectors))
    if largest < LEAST_TURN_RAD:
        raise CalibrationError(
            f"the gripper turned by {math.degrees(largest):.1f} degrees at most; turn it by 30 and more between poses"
        )
    if spreads[1] < math.radians(2) or spreads[1] < 0.05 * spreads[0]:
        raise CalibrationError(
            "the gripper turned about one axis only, which leaves the camera's place along it open; turn it about "
            "a second axis as well, by 30 degrees and more"
        )
    return largest, float(spreads[1])


def _start(problem: _HandEyeProblem) -> RigidTransform:
    """Park & Martin: A X = X B for every pair of stations; the turn by aligning axes, the place by least squares."""
    (hand_r, hand_t), (board_r, board_t) = problem.stacks
    i, j = np.triu_indices(len(hand_r), 1)
    back, towards = np.swapaxes(hand_r[j], 1, 2), np.swapaxes(board_r[i], 1, 2)
    a_r, b_r = back @ hand_r[i], board_r[j] @ towards  # A = inverse(H_j) H_i, B = board_j inverse(board_i)
    a_t = np.einsum("nij,nj->ni", back, hand_t[i] - hand_t[j])
    b_t = board_t[j] - np.einsum("nij,nj->ni", b_r, board_t[i])
    a_axes, b_axes = rotvecs_from_rotations(a_r), rotvecs_from_rotations(b_r)
    certain = np.linalg.norm(a_axes, axis=1) < math.radians(170)  # half a turn has two axes
    left, _, right = np.linalg.svd(a_axes[certain].T @ b_axes[certain])
    rotation = left @ np.diag([1, 1, np.linalg.det(left @ right)]) @ right
    rows, wanted = (a_r - np.eye(3)).reshape(-1, 3), (b_t @ rotation.T - a_t).ravel()
    return RigidTransform(rotation, np.linalg.lstsq(rows, wanted, rcond=None)[0])


def _opencv(problem: _HandEyeProblem, method: Method) -> RigidTransform:
    """One of OpenCV's methods, where this OpenCV has them."""
    calibrate = getattr(cv2, "calibrateHandEye", None)
    if calibrate is None:
        raise CalibrationError(
            f"OpenCV {cv2.__version__} has no calibrateHandEye, as the 5.0 wheels; use the method joint, which is ours"
        )
    number = getattr(cv2, f"CALIB_HAND_EYE_{method.upper()}")
    (hand_r, hand_t), (board_r, board_t) = problem.stacks
    # As the fifth positional argument the method would be taken for an output array, and TSAI used in silence.
    rotation, place = calibrate(list(hand_r), list(hand_t), list(board_r), list(board_t), method=number)
    if not np.isfinite(rotation).all() or not np.isfinite(place).all():
        raise CalibrationError(f"OpenCV's {method} finds nothing for these poses; use the method joint")
    return RigidTransform(np.asarray(rotation, np.float64), np.asarray(place, np.float64).ravel())


def _settle(
    problem: _HandEyeProblem, x: RigidTransform, y: RigidTransform, *, move: bool
) -> tuple[RigidTransform, RigidTransform, Floats, Floats]:
    """Gauss-Newton on X and Y together, and the (6, 6) covariance of each.

    The residuals' own sizes are the weights of turns against places, found anew in each round.
    """
    for _ in range(12 if move else 1):
        metres, turns = problem.residuals(x, y)
        freedom = max(1.0, metres.size - 6)  # of 12 numbers half are places
        sigma_m = max(math.sqrt(float((metres**2).sum()) / freedom), _LEAST_M)
        sigma_rad = max(math.sqrt(float((turns**2).sum()) / freedom), _LEAST_RAD)
        residual = np.concatenate([metres.ravel() / sigma_m, turns.ravel() / sigma_rad])
        jacobian = np.column_stack([_slope(problem, x, y, axis, sigma_m, sigma_rad) for axis in range(12)])
        if not move:
            break
        step = np.asarray(np.linalg.lstsq(jacobian, -residual, rcond=None)[0], np.float64)
        x, y = _nudged(x, step[:6]), _nudged(y, step[6:])
        if np.abs(step).max() < 1e-10:
            break
    covariance = np.asarray(np.linalg.pinv(jacobian.T @ jacobian, hermitian=True), np.float64)
    return x, y, covariance[:6, :6], covariance[6:, 6:]


def _slope(
    problem: _HandEyeProblem, x: RigidTransform, y: RigidTransform, axis: int, sigma_m: float, sigma_rad: float
) -> Floats:
    """Change of the weighted residuals with one of the 12 numbers."""
    step, sides = np.zeros(12), []
    for sign in (1e-6, -1e-6):
        step[axis] = sign
        metres, turns = problem.residuals(_nudged(x, step[:6]), _nudged(y, step[6:]))
        sides.append(np.concatenate([metres.ravel() / sigma_m, turns.ravel() / sigma_rad]))
    return np.asarray((sides[0] - sides[1]) / 2e-6)


def _nudged(pose: RigidTransform, step: Floats) -> RigidTransform:
    """Moved and turned along the target's fixed axes."""
    return RigidTransform(rotation_from_rotvec(step[3:]) @ pose.rotation, pose.translation_m + step[:3])


def _stacked(poses: Sequence[RigidTransform]) -> tuple[Floats, Floats]:
    return np.array([pose.rotation for pose in poses]), np.array([pose.translation_m for pose in poses])


def _worst(metres: Floats, radians: Floats) -> tuple[int, float]:
    """The station farthest off, and by how many medians, in place or turn."""
    ratios = np.maximum(metres / max(float(np.median(metres)), 1e-4), radians / max(float(np.median(radians)), 1e-4))
    return int(np.argmax(ratios)), float(ratios.max())


def _rms(values: Floats) -> float:
    return math.sqrt(float((values**2).mean()))
