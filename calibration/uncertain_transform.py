"""Propagates covariance through composed and inverted rigid transforms.

The covariance is ROS's (REP-103): 6 x 6, row-major, of x, y, z in metres and rotations about x, y, z in radians,
along the fixed axes of the target frame. To first order, for independent errors (Barfoot & Furgale, 2014).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from calibration.errors import CalibrationError
from calibration.lens import Floats
from calibration.rigid import RigidTransform, skew_matrix


@dataclass(frozen=True, slots=True, eq=False)
class UncertainTransform:
    """A rigid transform that has a (6, 6) covariance: m^2, m rad and rad^2."""

    pose: RigidTransform
    covariance: Floats

    def __post_init__(self) -> None:
        covariance = np.asarray(self.covariance, np.float64)
        if covariance.shape != (6, 6) or not np.isfinite(covariance).all() or (np.diag(covariance) < 0).any():
            raise CalibrationError("a pose's covariance must be 6 x 6 and finite, with no variance below 0")
        object.__setattr__(self, "covariance", (covariance + covariance.T) / 2)

    @classmethod
    def exact(cls, pose: RigidTransform) -> UncertainTransform:
        """Create a transform without error."""
        return cls(pose, np.zeros((6, 6)))

    @property
    def sigma_m(self) -> float:
        """Standard deviation of the position: the root of the sum of its three variances."""
        return math.sqrt(float(np.trace(self.covariance[:3, :3])))

    @property
    def sigma_rad(self) -> float:
        """Standard deviation of the rotation: the root of the sum of its three variances."""
        return math.sqrt(float(np.trace(self.covariance[3:, 3:])))

    def __matmul__(self, other: UncertainTransform) -> UncertainTransform:
        """Compose: a_from_b @ b_from_c is a_from_c."""
        own_jacobian, other_jacobian = np.eye(6), np.zeros((6, 6))
        own_jacobian[:3, 3:] = -skew_matrix(self.pose.rotate(other.pose.translation_m))
        other_jacobian[:3, :3] = other_jacobian[3:, 3:] = self.pose.rotation
        return UncertainTransform(
            self.pose @ other.pose,
            own_jacobian @ self.covariance @ own_jacobian.T + other_jacobian @ other.covariance @ other_jacobian.T,
        )

    def inverse(self) -> UncertainTransform:
        """Compute source_from_target."""
        back = self.pose.rotation.T
        jacobian = np.zeros((6, 6))
        jacobian[:3, :3] = jacobian[3:, 3:] = -back
        jacobian[:3, 3:] = -back @ skew_matrix(self.pose.translation_m)
        return UncertainTransform(self.pose.inverse(), jacobian @ self.covariance @ jacobian.T)

    def point_covariance(self, point: Floats) -> Floats:
        """Compute the (3, 3) covariance, m^2, of an exact (3,) source point in the target frame."""
        jacobian = np.hstack([np.eye(3), -skew_matrix(self.pose.rotate(point))])
        return np.asarray(jacobian @ self.covariance @ jacobian.T)

    def to_dict(self) -> dict[str, list[float]]:
        """Convert it to JSON values: the pose and 36 covariance numbers, row by row."""
        return {**self.pose.to_dict(), "covariance": self.covariance.ravel().tolist()}

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> UncertainTransform:
        """Parse the result of `to_dict`."""
        try:
            covariance = np.array(fields["covariance"], np.float64).reshape(6, 6)
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise CalibrationError(f"a pose needs a covariance of 36 numbers: {error}") from None
        return cls(RigidTransform.from_dict(fields), covariance)
