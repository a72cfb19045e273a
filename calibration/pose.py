"""Estimates a board's pose from one picture, for every camera model, with residuals and covariance."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import ArrayLike

from calibration.camera import CameraModel
from calibration.errors import CalibrationError
from calibration.lens import Floats
from calibration.rigid import RigidTransform

_STEPS = 30
_STEP = 1e-6


@dataclass(frozen=True, slots=True, eq=False)
class BoardPose:
    """Holds camera_from_board with its uncertainty.

    errors_px: (N, 2) detected minus projected. covariance: (6, 6) of x y z (m) and rotations about x y z (rad), fixed
    axes of the camera's frame, from the residuals or `sigma_px`, whichever is larger.
    """

    camera_from_board: RigidTransform
    rms_px: float
    errors_px: Floats
    covariance: Floats


def estimate_pose(
    camera: CameraModel, object_points: ArrayLike, points_px: ArrayLike, *, sigma_px: float = 0.1
) -> BoardPose:
    """Estimate the pose from (N, 3) board points, m, and their (N, 2) px; N >= 4.

    IPPE (Collins & Bartoli 2014) where the points lie in the plane z = 0, else SQPNP (Terzakis & Lourakis 2020), on the
    undistorted plane; then Gauss-Newton on pixels through the camera's own model. sigma_px: the smallest
    noise of the corners. Raises `CalibrationError` where there is no pose.
    """
    objects, pixels = np.asarray(object_points, np.float64), np.asarray(points_px, np.float64)
    normalized = camera.normalize_points(pixels)
    valid = np.isfinite(normalized).all(1)
    if valid.sum() < 4:
        raise CalibrationError(f"a pose needs 4 corners inside the picture, got {int(valid.sum())}")
    objects, pixels, normalized = objects[valid], pixels[valid], normalized[valid]
    is_planar = float(np.abs(objects[:, 2]).max()) < 1e-9
    method = cv2.SOLVEPNP_IPPE if is_planar else cv2.SOLVEPNP_SQPNP
    try:
        _, rotvecs, translations, _ = cv2.solvePnPGeneric(objects, normalized, np.eye(3), None, flags=method)
    except cv2.error as error:
        raise CalibrationError(f"these corners fix no pose: {error.err}") from None
    candidates = [
        start
        for start in map(RigidTransform.from_rotvec, rotvecs, translations)
        if (start.apply(objects)[:, 2] > 0).all()
    ]
    if not candidates:
        raise CalibrationError("these corners fix no pose in front of the camera")
    # A flat board has two solutions, one slightly worse; three steps are enough to distinguish them.
    refined = [_refine(camera, objects, pixels, start, steps=3) for start in candidates]
    best, _ = min(refined, key=lambda pair: pair[1])
    pose, _ = _refine(camera, objects, pixels, best, steps=_STEPS)
    return _with_statistics(camera, objects, pixels, pose, sigma_px)


def compute_rms(errors_px: Floats) -> float:
    """Compute the rms length of (N, 2) errors."""
    return math.sqrt(float((errors_px**2).sum(1).mean()))


def project_board(camera: CameraModel, camera_from_board: RigidTransform, object_points: Floats) -> Floats:
    """Project (N, 3) m to (N, 2) px, also outside the picture where the model is valid."""
    return camera.project(camera_from_board.apply(object_points), margin_px=math.inf)


def compute_pose_jacobian(camera: CameraModel, pose: RigidTransform, objects: Floats) -> Floats:
    """Compute the (2 N, 6) Jacobian of the pixels by translation (m) and rotation (rad) at the board, camera axes."""
    arms = pose.rotate(objects)
    points = arms + pose.translation_m
    steps = _STEP * np.concatenate([np.eye(3), -np.eye(3)])
    pixels = camera.project((points + steps[:, None]).reshape(-1, 3), margin_px=math.inf).reshape(6, -1, 2)
    by_translation = np.moveaxis((pixels[:3] - pixels[3:]) / (2 * _STEP), 0, 2)  # (N, 2, 3)
    # A rotation w moves a point by w x arm; g . (w x arm) = w . (arm x g).
    by_rotation = np.cross(arms[:, None], by_translation)
    return np.concatenate([by_translation, by_rotation], axis=2).reshape(-1, 6)


def _refine(
    camera: CameraModel, objects: Floats, pixels: Floats, pose: RigidTransform, *, steps: int
) -> tuple[RigidTransform, float]:
    """Refine the pose by Gauss-Newton until it converges; also returns the sum of squared errors, px^2."""
    errors = pixels - project_board(camera, pose, objects)
    total = float(np.nan_to_num((errors**2).sum(), nan=math.inf))
    for _ in range(steps):
        jacobian = compute_pose_jacobian(camera, pose, objects)
        if not np.isfinite(jacobian).all() or not math.isfinite(total):
            break
        step = np.asarray(np.linalg.lstsq(jacobian, errors.ravel(), rcond=None)[0], np.float64)
        better = pose.perturb(step)
        new = pixels - project_board(camera, better, objects)
        now = float((new**2).sum())
        if not now < total:
            break
        done = now > total * (1 - 1e-9) or np.abs(step).max() < 1e-9
        pose, errors, total = better, new, now
        if done:
            break
    return pose, total


def _with_statistics(
    camera: CameraModel, objects: Floats, pixels: Floats, pose: RigidTransform, sigma_px: float
) -> BoardPose:
    errors = pixels - project_board(camera, pose, objects)
    jacobian = compute_pose_jacobian(camera, pose, objects)
    if not np.isfinite(errors).all() or not np.isfinite(jacobian).all():
        return BoardPose(pose, math.inf, errors, np.full((6, 6), math.inf))
    variance = max(sigma_px**2, float((errors**2).sum()) / max(1, errors.size - 6))
    covariance = np.asarray(variance * np.linalg.pinv(jacobian.T @ jacobian), np.float64)
    return BoardPose(pose, compute_rms(errors), errors, covariance)
