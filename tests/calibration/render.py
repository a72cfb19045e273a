"""Renders pictures of a board as a camera takes them; rays come from OpenCV, not from the models under test."""

from __future__ import annotations

import functools

import cv2
import numpy as np
from numpy.typing import NDArray

from calibration.boards import CalibrationBoard
from calibration.camera import CameraModel
from calibration.rigid import RigidTransform

_PX_PER_M = 4000.0


def rays_by_opencv(camera: CameraModel, points_px: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N, 2) px to (N, 2) on the plane z = 1."""
    coefficients = np.array(camera.coefficients or (0.0,) * 4)
    if camera.model == "fisheye":
        found = cv2.fisheye.undistortPoints(points_px[:, None], camera.matrix, coefficients)
    else:
        until = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_MAX_ITER, 100, 1e-12)
        # OpenCV 5 has the criteria in undistortPoints itself, OpenCV 4 in a function of its own.
        undistort = getattr(cv2, "undistortPointsIter", None) or cv2.undistortPoints
        found = undistort(points_px[:, None], camera.matrix, coefficients, R=None, P=None, criteria=until)
    return np.asarray(found, np.float64).reshape(-1, 2)


def photograph(
    camera: CameraModel,
    board: CalibrationBoard,
    camera_from_board: RigidTransform,
    *,
    noise: float = 0.0,
    seed: int = 0,
    scale: int = 2,
) -> NDArray[np.uint8]:
    """Render (H, W, 3) uint8 BGR, antialiased by `scale`, on a grey table, with grey-level noise."""
    wide, high = camera.size
    plane = _plane(camera, scale)
    # The ray d intersects the board: columns 0 and 1 of the rotation span it, the translation is its origin.
    h = np.column_stack([camera_from_board.rotation[:, :2], camera_from_board.translation_m])
    at = np.column_stack([plane, np.ones(len(plane))]) @ np.linalg.inv(h).T
    places = at[:, :2] / at[:, 2:]
    drawing = board.draw(_PX_PER_M)
    # The drawing begins one square of rim and one square of board before the first corner of corners.
    origin = 2 * board.square_m
    maps = ((places + origin) * _PX_PER_M - 0.5).astype(np.float32).reshape(high * scale, wide * scale, 2)
    image = cv2.remap(drawing, maps[..., 0], maps[..., 1], cv2.INTER_LINEAR, borderValue=110)
    small = cv2.resize(image, (wide, high), interpolation=cv2.INTER_AREA).astype(np.float64)
    small += np.random.default_rng(seed).normal(0, noise, small.shape) if noise else 0
    grey = np.clip(small, 0, 255).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=2)


@functools.lru_cache(maxsize=4)
def _plane(camera: CameraModel, scale: int) -> NDArray[np.float64]:
    """(N, 2) on the plane z = 1 of every pixel of the enlarged picture."""
    wide, high = camera.size
    x, y = np.meshgrid(np.arange(wide * scale), np.arange(high * scale))
    return rays_by_opencv(camera, (np.column_stack([x.ravel(), y.ravel()]) + 0.5) / scale - 0.5)


def facing(
    board: CalibrationBoard, distance_m: float, rotvec_rad: tuple[float, float, float] = (0, 0, 0),
    offset_m: tuple[float, float] = (0, 0),
) -> RigidTransform:  # fmt: skip
    """Place a board with its middle before the camera, rotated about its middle: camera_from_board."""
    columns, rows = board.corner_counts
    middle = np.array([(columns - 1) / 2, (rows - 1) / 2, 0]) * board.square_m
    turn = RigidTransform.from_rotvec(rotvec_rad, [offset_m[0], offset_m[1], distance_m])
    return turn @ RigidTransform(np.eye(3), -middle)
