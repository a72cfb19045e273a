"""Transforms points rigidly: `a_from_b.apply(points_b)` are the same points in frame a.

`base_from_camera = base_from_gripper @ gripper_from_camera`: adjacent frames must match. Metres; right-handed frames.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import ArrayLike

from calibration.errors import CalibrationError
from calibration.lens import Floats

_TOLERANCE = 1e-3
"""Largest rounding error of a rotation in a file; it is corrected."""


@dataclass(frozen=True, slots=True, eq=False)
class RigidTransform:
    """A transform that maps a source frame: x_target = rotation @ x_source + translation_m.

    rotation: (3, 3) float64, orthonormal, determinant 1. translation_m: (3,) float64.
    Raises `CalibrationError` for anything but a rigid transform; a nearly exact rotation is made exact.
    """

    rotation: Floats
    translation_m: Floats

    def __post_init__(self) -> None:
        rotation = np.asarray(self.rotation, np.float64)
        translation = np.array(self.translation_m, np.float64)
        if rotation.shape != (3, 3) or translation.shape != (3,):
            raise CalibrationError(
                f"a rigid transform has a (3, 3) rotation and a (3,) translation, got {rotation.shape} and "
                f"{translation.shape}"
            )
        if not (np.isfinite(rotation).all() and np.isfinite(translation).all()):
            raise CalibrationError("a rigid transform must be finite numbers")
        left, scales, right = np.linalg.svd(rotation)
        if np.abs(scales - 1).max() > _TOLERANCE or np.linalg.det(rotation) < 0:
            raise CalibrationError(
                f"the (3, 3) matrix is no rotation: its scales are {scales.round(4).tolist()} and its determinant "
                f"{np.linalg.det(rotation):.4f}; expected 1 and a right-handed frame"
            )
        rotation = left @ right
        rotation.flags.writeable = translation.flags.writeable = False
        object.__setattr__(self, "rotation", rotation)
        object.__setattr__(self, "translation_m", translation)

    @classmethod
    def identity(cls) -> RigidTransform:
        """Create the transform that changes nothing."""
        return cls(np.eye(3), np.zeros(3))

    @classmethod
    def from_matrix(cls, matrix: ArrayLike) -> RigidTransform:
        """Create it from a homogeneous (4, 4) matrix."""
        numbers = np.asarray(matrix, np.float64)
        if numbers.shape != (4, 4) or not np.allclose(numbers[3], (0, 0, 0, 1), atol=1e-9):
            raise CalibrationError(f"expected a (4, 4) matrix whose last row is 0 0 0 1, got shape {numbers.shape}")
        return cls(numbers[:3, :3], numbers[:3, 3])

    @classmethod
    def from_rotvec(cls, rotvec_rad: ArrayLike, translation_m: ArrayLike) -> RigidTransform:
        """Create it from an axis times its angle, radians."""
        return cls(rotation_from_rotvec(np.ravel(rotvec_rad)), np.ravel(translation_m))

    @classmethod
    def from_quaternion(cls, xyzw: ArrayLike, translation_m: ArrayLike) -> RigidTransform:
        """Create it from a quaternion in ROS's order, of any length but 0."""
        numbers = np.asarray(xyzw, np.float64)
        length = float(np.linalg.norm(numbers))
        if numbers.shape != (4,) or not math.isfinite(length) or length < 1e-9:
            raise CalibrationError(f"expected a quaternion x y z w that is not 0, got {numbers.tolist()}")
        cross, w = skew_matrix(numbers[:3] / length), numbers[3] / length
        return cls(np.eye(3) + 2 * (w * cross + cross @ cross), np.asarray(translation_m, np.float64))

    @property
    def matrix(self) -> Floats:
        """The homogeneous (4, 4) matrix."""
        matrix = np.eye(4)
        matrix[:3, :3], matrix[:3, 3] = self.rotation, self.translation_m
        return matrix

    @property
    def rotvec_rad(self) -> Floats:
        """(3,) axis times angle, the angle in 0..pi."""
        return rotvec_from_rotation(self.rotation)

    @property
    def quaternion_xyzw(self) -> Floats:
        """(4,) in ROS's order, w not negative."""
        rotvec = self.rotvec_rad
        angle = float(np.linalg.norm(rotvec))
        half_sinc = 0.5 * float(np.sinc(angle / (2 * math.pi)))  # sin(angle / 2) / angle
        return np.append(rotvec * half_sinc, math.cos(angle / 2))

    def __matmul__(self, other: RigidTransform) -> RigidTransform:
        """Compose: a_from_b @ b_from_c is a_from_c."""
        return RigidTransform(self.rotation @ other.rotation, self.rotation @ other.translation_m + self.translation_m)

    def inverse(self) -> RigidTransform:
        """Compute source_from_target."""
        return RigidTransform(self.rotation.T, -self.rotation.T @ self.translation_m)

    def apply(self, points: ArrayLike) -> Floats:
        """Transform (..., 3) points of the source frame to the target frame."""
        return np.asarray(np.asarray(points, np.float64) @ self.rotation.T + self.translation_m)

    def rotate(self, directions: ArrayLike) -> Floats:
        """Rotate (..., 3) directions of the source frame to the target frame."""
        return np.asarray(np.asarray(directions, np.float64) @ self.rotation.T)

    def perturb(self, step: Floats) -> RigidTransform:
        """Translate by step[:3], m, and rotate by step[3:], rad, along the target's fixed axes."""
        return RigidTransform(rotation_from_rotvec(step[3:]) @ self.rotation, self.translation_m + step[:3])

    def distance_to(self, other: RigidTransform) -> tuple[float, float]:
        """Compute (metres, radians) to another transform of the same frames."""
        rotvec = rotvec_from_rotation(self.rotation.T @ other.rotation)
        return float(np.linalg.norm(self.translation_m - other.translation_m)), float(np.linalg.norm(rotvec))

    def to_dict(self) -> dict[str, list[float]]:
        """Convert it to JSON values: translation and quaternion."""
        return {"translation_m": self.translation_m.tolist(), "quaternion_xyzw": self.quaternion_xyzw.tolist()}

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> RigidTransform:
        """Parse the result of `to_dict`; `CalibrationError` names the invalid field."""
        try:
            return cls.from_quaternion(fields["quaternion_xyzw"], fields["translation_m"])
        except KeyError as error:
            raise CalibrationError(f"a pose needs translation_m and quaternion_xyzw, {error} is missing") from None
        except (TypeError, ValueError, OverflowError) as error:
            raise CalibrationError(f"the numbers of a pose do not read as numbers: {error}") from None


def rotation_from_rotvec(rotvec_rad: Floats) -> Floats:
    """Convert a (3,) axis times angle to (3, 3) by Rodrigues' formula."""
    return np.asarray(cv2.Rodrigues(np.asarray(rotvec_rad, np.float64))[0], np.float64)


def rotvec_from_rotation(rotation: Floats) -> Floats:
    """Compute the (3,) logarithm of one (3, 3) rotation, as `rotvecs_from_rotations` does."""
    return np.asarray(rotvecs_from_rotations(rotation[None])[0])


def rotvecs_from_rotations(rotations: Floats) -> Floats:
    """Compute the (N, 3) logarithms of (N, 3, 3) rotations.

    Axes times angles in 0..pi; exact near 0 and pi, too.
    """
    odd = rotations[:, (2, 0, 1), (1, 2, 0)] - rotations[:, (1, 2, 0), (2, 0, 1)]
    sine, cosine = np.linalg.norm(odd, axis=1) / 2, (np.trace(rotations, axis1=1, axis2=2) - 1) / 2
    angle = np.arctan2(sine, cosine)
    rotvecs = odd / 2 * np.where(sine > 1e-12, angle / np.maximum(sine, 1e-12), 1.0)[:, None]
    for row in np.flatnonzero((sine <= 1e-4) & (cosine <= 0)):
        # Near pi the odd part vanishes; the axis is the largest column of (R + I), with the odd part's sign.
        even = (rotations[row] + rotations[row].T) / 2 - cosine[row] * np.eye(3)
        axis = even[:, int(np.argmax(np.diag(even)))]
        axis = axis / np.linalg.norm(axis)
        rotvecs[row] = angle[row] * (axis if axis @ odd[row] >= 0 else -axis)
    return np.asarray(rotvecs)


def skew_matrix(vector: Floats) -> Floats:
    """Build the (3, 3) matrix whose product with a vector is the cross product."""
    x, y, z = vector
    return np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]], np.float64)


def average_poses(poses: Sequence[RigidTransform]) -> RigidTransform:
    """Average estimates of one transform by their chordal mean (Hartley et al., 2013)."""
    if not poses:
        raise CalibrationError("no poses to take the mean of")
    left, _, right = np.linalg.svd(sum((pose.rotation for pose in poses), np.zeros((3, 3))))
    flip = np.diag([1.0, 1.0, np.linalg.det(left @ right)])
    return RigidTransform(left @ flip @ right, np.mean([pose.translation_m for pose in poses], axis=0))
