"""Tests that covariances propagate as sampled noise does."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibration import CalibrationError
from calibration.rigid import RigidTransform, rotation_from_rotvec, rotvec_from_rotation
from calibration.uncertain_transform import UncertainTransform

A = RigidTransform.from_rotvec([0.3, -1.1, 0.7], [0.4, -0.8, 1.3])
B = RigidTransform.from_rotvec([-0.9, 0.2, 2.0], [-0.3, 0.5, 0.9])
ROOT = np.random.default_rng(0).normal(0, 1, (6, 6)) * [[1e-3]] * 3
SPREAD = ROOT @ ROOT.T


def jittered(pose: RigidTransform, rng: np.random.Generator) -> RigidTransform:
    step = ROOT @ rng.normal(0, 1, 6)
    return RigidTransform(rotation_from_rotvec(step[3:]) @ pose.rotation, pose.translation_m + step[:3])


def spread(poses: list[RigidTransform], truth: RigidTransform) -> np.ndarray:
    errors = [
        np.append(p.translation_m - truth.translation_m, rotvec_from_rotation(p.rotation @ truth.rotation.T))
        for p in poses
    ]
    return np.cov(np.array(errors).T)


def agree(predicted: np.ndarray, observed: np.ndarray) -> None:
    scale = np.sqrt(np.diag(predicted))
    np.testing.assert_allclose(observed / np.outer(scale, scale), predicted / np.outer(scale, scale), atol=0.12)


def test_composing_and_inverting_agree_with_sampling() -> None:
    rng, count = np.random.default_rng(1), 3000
    pairs = [(jittered(A, rng), jittered(B, rng)) for _ in range(count)]
    a, b = UncertainTransform(A, SPREAD), UncertainTransform(B, SPREAD)
    agree((a @ b).covariance, spread([x @ y for x, y in pairs], A @ B))
    agree(a.inverse().covariance, spread([x.inverse() for x, _ in pairs], A.inverse()))
    point = np.array([0.2, -0.4, 0.6])
    observed = np.cov(np.array([x.apply(point) for x, _ in pairs]).T)
    predicted = a.point_covariance(point)
    np.testing.assert_allclose(observed / np.trace(predicted), predicted / np.trace(predicted), atol=0.08)


@given(st.integers(0, 1000))
def test_inverting_twice_changes_nothing(seed: int) -> None:
    root = np.random.default_rng(seed).normal(0, 1, (6, 6))
    a = UncertainTransform(A, root @ root.T)
    np.testing.assert_allclose(a.inverse().inverse().covariance, a.covariance, atol=1e-9)
    b = UncertainTransform(B, SPREAD)
    left, right = ((a @ b).inverse(), b.inverse() @ a.inverse())
    np.testing.assert_allclose(left.covariance, right.covariance, atol=1e-9)


def test_exact_transforms_stay_exact() -> None:
    assert not (UncertainTransform.exact(A) @ UncertainTransform.exact(B).inverse()).covariance.any()
    assert UncertainTransform.exact(A).sigma_m == 0


def test_sigmas_have_units() -> None:
    known = UncertainTransform(A, np.diag([1e-6, 4e-6, 4e-6, 0, 0, 9e-6]))
    assert known.sigma_m == pytest.approx(0.003)
    assert known.sigma_rad == pytest.approx(0.003)


def test_json() -> None:
    a = UncertainTransform(A, SPREAD)
    back = UncertainTransform.from_dict(json.loads(json.dumps(a.to_dict())))
    np.testing.assert_allclose(back.covariance, a.covariance)
    assert max(back.pose.distance_to(A)) < 1e-9
    with pytest.raises(CalibrationError, match="36"):
        UncertainTransform.from_dict({**a.to_dict(), "covariance": [1, 2]})


@pytest.mark.parametrize("bad", [np.eye(3), np.full((6, 6), np.nan), -np.eye(6)])
def test_invalid_covariances_are_refused(bad: np.ndarray) -> None:
    with pytest.raises(CalibrationError):
        UncertainTransform(A, bad)
