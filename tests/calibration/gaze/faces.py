"""Computes the landmarks of a face of the canonical size whose eyes look at a known place of the camera's plane."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from calibration.gaze.eye_features import _CANONICAL, EYEBALL_DEPTH_MM, IRIS_MM, IRIS_RADIUS_MM

PICTURE, FOV_DEG = (640, 480), 60.0
FOCAL_PX = PICTURE[0] / 2 / math.tan(math.radians(FOV_DEG / 2))
Floats = NDArray[np.float64]


def rotate(yaw_deg: float = 0.0, pitch_deg: float = 0.0, roll_deg: float = 0.0) -> Floats:
    """Return the rotation of a head."""
    yaw, pitch, roll = np.radians((yaw_deg, pitch_deg, roll_deg))
    about_x = [[1, 0, 0], [0, np.cos(pitch), -np.sin(pitch)], [0, np.sin(pitch), np.cos(pitch)]]
    about_y = [[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]]
    about_z = [[np.cos(roll), -np.sin(roll), 0], [np.sin(roll), np.cos(roll), 0], [0, 0, 1]]
    return np.array(about_z) @ np.array(about_y) @ np.array(about_x)


def make_landmarks(
    target_mm: tuple[float, float],
    *,
    rotation: Floats | None = None,
    place_px: tuple[float, float] = (320.0, 240.0),
    distance_mm: float = 600.0,
    opening: float = 0.3,
    noise_px: Floats | float = 0.0,
) -> tuple[Floats, Floats, Floats]:
    """Return points (468, 3), irises (2, 5, 2) and eyes (2, 16, 2), px.

    target_mm: x right for the person, y down. noise_px: added to the centres of both irises.
    """
    rotation = np.eye(3) if rotation is None else rotation
    scale = FOCAL_PX / distance_mm
    model = {number: np.array(place) * (1, -1, -1) for number, place in _CANONICAL.items()}
    points = np.zeros((468, 3))
    for number, place in model.items():
        points[number] = rotation @ place * scale + (*place_px, 0)
    reach = math.sqrt(target_mm[0] ** 2 + target_mm[1] ** 2 + distance_mm**2)
    sines = np.array([-target_mm[0], target_mm[1]]) / reach
    irises, eyes = [], []
    for outer, inner in ((33, 133), (263, 362)):
        corners = points[[outer, inner], :2]
        middle, across = corners.mean(0), corners[1] - corners[0]
        down = np.array([-across[1], across[0]]) * (1 if outer == 33 else -1)
        shares = np.linspace(0, 1, 9)
        arch = np.sin(np.pi * shares)[:, None] * down * opening / 2
        lower, upper = corners[0] + shares[:, None] * across + arch, corners[0] + shares[:, None] * across - arch
        eyes.append(np.concatenate([lower, upper[1:-1]]))
        centre = middle + rotation[:2, 2] * EYEBALL_DEPTH_MM * scale + sines * IRIS_RADIUS_MM * scale + noise_px
        radius = IRIS_MM / 2 * scale
        irises.append(centre + radius * np.array([(0, 0), (1, 0), (0, -1), (-1, 0), (0, 1)]))
    return points, np.array(irises), np.array(eyes)
