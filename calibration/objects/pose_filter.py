"""Filters an object's pose over time, with a consistent order of its axes.

Position: a Kalman filter of constant velocity, whose process noise rises when measurements contradict it and falls
when they agree again (adjustable level of process noise: Bar-Shalom, Li & Kirubarajan, "Estimation with Applications to
Tracking and Navigation", 2001, 11.2). Orientation: small-rotation error on SO(3), with its own gain. Boxes have
no front: of the 24 ways to name a box's axes that one is taken which is nearest to the last, as long as the sides fit.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np

from calibration.lens import Floats
from calibration.objects.boxes import OrientedBox
from calibration.rigid import RigidTransform, rotation_from_rotvec, rotvec_from_rotation

STILL_ACCELERATION_M_S2, MOVING_ACCELERATION_M_S2 = 0.02, 5.0
"""Standard deviations of acceleration of resting and of hand-carried objects."""
MAX_GAP_S = 0.6
"""Age after which a pose is discarded."""
_TIME_CONSTANT_S = 0.25
_MAX_ROTATION_CHANGE_RAD, _MAX_SIZE_CHANGE_LOG = math.radians(15), math.log(1.3)
"""Rotations and sides that differ more are another fit of the shape, accepted when they persist."""
_ACCEPT_AFTER = 5
_MAX_AREA_RATIO = 1.5
"""Ratio of the surface between two frames above which another part of the object is visible."""
_EQUAL_SIDES_SHARE = 0.02
"""Sides within this ratio are equal: noise changes which one is longer, but axes must not swap."""


@dataclass(frozen=True, slots=True, eq=False)
class SteadyPose:
    """Holds camera_from_object, m; extents_m: (3,), longest first.

    velocity_m_s: (3,), None until it is known. covariance: (6, 6) of position and velocity, m and m/s. moving:
    whether the velocity differs significantly from 0.
    """

    pose: RigidTransform
    extents_m: Floats
    velocity_m_s: Floats | None
    covariance: Floats
    is_moving: bool


class PoseFilter:
    """Filters the pose of one object. Call `update` with each box, in order of time."""

    def __init__(self) -> None:
        self._updated_s: float | None = None
        self._started_s = 0.0
        self._count = self._outlier_count = 0
        self._state = np.zeros(6)
        self._covariance = np.eye(6)
        self._offset = np.zeros(3)
        self._rotation = np.eye(3)
        self._extents = np.ones(3)
        self._normalized_innovation = self._area_m2 = 0.0
        self._is_moving = False

    @property
    def rotation(self) -> Floats | None:
        """The filtered (3, 3) camera_from_object, for the next box fit; None before the first."""
        return None if self._updated_s is None else self._rotation

    def update(
        self, at_s: float, box: OrientedBox, centroid_m: Floats, noise_m: float, area_m2: float = 0.0
    ) -> SteadyPose:
        """Update with a box and the mean of its points, seen at `at_s`.

        noise_m: of that mean, from frame to frame. area_m2: of the visible surface, 0 if unknown; where it or the
        position jumps, the mask changed between a part and the whole: nothing has moved.
        """
        step_s = math.inf if self._updated_s is None else at_s - self._updated_s
        if not 0 < step_s <= MAX_GAP_S or self._has_jumped(step_s, box, centroid_m, area_m2):
            self._reset(at_s, box, centroid_m, noise_m)
        else:
            self._update_position(step_s, centroid_m, noise_m)
            self._update_shape(step_s, box, centroid_m)
        self._updated_s, self._area_m2 = at_s, area_m2
        self._count += 1
        return self._result(at_s)

    def _has_jumped(self, step_s: float, box: OrientedBox, centroid_m: Floats, area_m2: float) -> bool:
        expected = self._state[:3] + step_s * self._state[3:]
        distance_m = float(np.linalg.norm(centroid_m - expected))
        area_ratio = area_m2 / self._area_m2 if area_m2 > 0 and self._area_m2 > 0 else 1.0
        max_distance_m = max(0.02, 0.2 * float(box.extents_m[0])) + MOVING_ACCELERATION_M_S2 * step_s**2
        return distance_m > max_distance_m or not 1 / _MAX_AREA_RATIO < area_ratio < _MAX_AREA_RATIO

    def _reset(self, at_s: float, box: OrientedBox, centroid_m: Floats, noise_m: float) -> None:
        self._started_s, self._count, self._outlier_count = at_s, 0, 0
        self._normalized_innovation, self._is_moving = 0.0, False
        self._state = np.concatenate([centroid_m, np.zeros(3)])
        self._covariance = np.diag([noise_m**2] * 3 + [0.25] * 3)
        # Before the first box, the axis order nearest to the camera's own axes.
        self._rotation, self._extents = _nearest_axis_order(
            box.pose.rotation, box.extents_m, self._rotation, box.extents_m
        )
        self._offset = box.pose.translation_m - centroid_m

    def _update_position(self, step_s: float, centroid_m: Floats, noise_m: float) -> None:
        transition = np.eye(6)
        transition[:3, 3:] = step_s * np.eye(3)
        input_matrix = np.concatenate([0.5 * step_s**2 * np.eye(3), step_s * np.eye(3)])
        acceleration = MOVING_ACCELERATION_M_S2 if self._is_moving else STILL_ACCELERATION_M_S2
        state = transition @ self._state
        covariance = transition @ self._covariance @ transition.T + acceleration**2 * input_matrix @ input_matrix.T
        innovation = centroid_m - state[:3]
        innovation_covariance = covariance[:3, :3] + noise_m**2 * np.eye(3)
        self._normalized_innovation += min(1.0, step_s / 0.1) * (
            float(innovation @ np.linalg.solve(innovation_covariance, innovation)) / 3 - self._normalized_innovation
        )
        if not self._is_moving and self._normalized_innovation > 3:
            self._is_moving, self._normalized_innovation = True, 1.0
            covariance = covariance + MOVING_ACCELERATION_M_S2**2 * input_matrix @ input_matrix.T
            innovation_covariance = covariance[:3, :3] + noise_m**2 * np.eye(3)
        elif self._is_moving and self._normalized_innovation < 1.5:
            self._is_moving = float(np.linalg.norm(state[3:])) >= max(0.01, 2 * _velocity_sd(covariance))
        gain = np.linalg.solve(innovation_covariance, covariance[:3]).T
        self._state = state + gain @ innovation
        # Joseph's form stays symmetric and positive despite rounding.
        residual_gain = np.eye(6)
        residual_gain[:, :3] -= gain
        self._covariance = residual_gain @ covariance @ residual_gain.T + noise_m**2 * gain @ gain.T

    def _update_shape(self, step_s: float, box: OrientedBox, centroid_m: Floats) -> None:
        """Update rotation, sides and the centre's offset; outliers are accepted when they persist."""
        rotation, extents = _nearest_axis_order(box.pose.rotation, box.extents_m, self._rotation, self._extents)
        rotvec = rotvec_from_rotation(self._rotation.T @ rotation)
        current = np.maximum(self._extents, 0.1 * self._extents.max())
        size_changes = np.log(np.maximum(extents, 0.1 * self._extents.max()) / current)
        is_outlier = (
            float(np.linalg.norm(rotvec)) > _MAX_ROTATION_CHANGE_RAD
            or float(np.abs(size_changes).max()) > _MAX_SIZE_CHANGE_LOG
        )
        self._outlier_count = self._outlier_count + 1 if is_outlier else 0
        if is_outlier and self._outlier_count < _ACCEPT_AFTER:
            return
        constant_s = (0.4 if self._is_moving else 2) * _TIME_CONSTANT_S
        gain = 1.0 if is_outlier else 1 - math.exp(-step_s / constant_s)
        gain = max(gain, 1 / (self._count + 1))  # at first, the mean
        self._outlier_count = 0
        self._rotation = self._rotation @ rotation_from_rotvec(gain * rotvec)
        self._extents = self._extents + gain * (extents - self._extents)
        self._offset = self._offset + gain * (box.pose.translation_m - centroid_m - self._offset)

    def _result(self, at_s: float) -> SteadyPose:
        self._sort_axes()
        pose = RigidTransform(self._rotation, self._state[:3] + self._offset)
        self._rotation = pose.rotation.copy()  # rounding errors must not accumulate
        is_known = self._count >= 4 and at_s - self._started_s > 0.08
        speed = float(np.linalg.norm(self._state[3:]))
        is_moving = is_known and speed > max(0.02, 3 * _velocity_sd(self._covariance))
        velocity = self._state[3:].copy() if is_known else None
        return SteadyPose(pose, _sort_extents(self._extents), velocity, self._covariance.copy(), is_moving)

    def _sort_axes(self) -> None:
        for first, second in ((0, 1), (1, 2), (0, 1)):
            if self._extents[second] > self._extents[first] * (1 + _EQUAL_SIDES_SHARE):
                swap = np.arange(3)
                swap[[first, second]] = second, first
                self._extents, self._rotation = self._extents[swap], self._rotation[:, swap]
                self._rotation[:, second] *= -1  # right-handed again


def _velocity_sd(covariance: Floats) -> float:
    """Compute the standard deviation of the velocity per axis, m/s."""
    return math.sqrt(float(np.trace(covariance[3:, 3:])) / 3)


def _nearest_axis_order(
    rotation: Floats, extents: Floats, last_rotation: Floats, last_extents: Floats
) -> tuple[Floats, Floats]:
    """Find the nearest of the 24 right-handed axis orders to the previous rotation and sides."""
    best, least = (rotation, extents), math.inf
    floor = 0.1 * float(last_extents.max())
    for permutation in _AXIS_PERMUTATIONS:
        reordered, order = rotation @ permutation, np.abs(permutation).argmax(0)
        angle = math.acos(max(-1.0, min(1.0, (float(np.trace(last_rotation.T @ reordered)) - 1) / 2)))
        size_changes = np.log(np.maximum(extents[order], floor) / np.maximum(last_extents, floor))
        cost = (angle / math.radians(20)) ** 2 + float((size_changes**2).sum()) / 0.15**2
        if cost < least:
            best, least = (reordered, extents[order]), cost
    return best


def _sort_extents(extents: Floats) -> Floats:
    """Replace two nearly equal sides in the wrong order by their mean."""
    out = extents.copy()
    for first, second in ((0, 1), (1, 2), (0, 1)):
        if out[second] > out[first]:
            out[[first, second]] = (out[first] + out[second]) / 2
    return out


_AXIS_PERMUTATIONS = [
    permutation
    for order in itertools.permutations(range(3))
    for signs in itertools.product((1.0, -1.0), repeat=3)
    if np.linalg.det(permutation := np.eye(3)[:, order] * signs) > 0
]
