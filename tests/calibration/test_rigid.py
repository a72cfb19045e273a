"""Tests that rigid transforms form a group, read back, and refuse other matrices."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibration import CalibrationError
from calibration.rigid import RigidTransform, average_poses, rotvecs_from_rotations

numbers = st.floats(-10, 10, allow_subnormal=False)
vectors = st.tuples(numbers, numbers, numbers)
axes = vectors.filter(lambda axis: math.hypot(*axis) > 1e-3)
angles = st.one_of(st.floats(0, math.pi), st.sampled_from([0.0, 1e-12, 1e-6, math.pi - 1e-9, math.pi]))


@st.composite
def rigids(draw: st.DrawFn) -> RigidTransform:
    axis = np.array(draw(axes))
    return RigidTransform.from_rotvec(axis / np.linalg.norm(axis) * draw(angles), draw(vectors))


def same(a: RigidTransform, b: RigidTransform) -> bool:
    return bool(np.allclose(a.matrix, b.matrix, atol=1e-9))


@given(rigids(), rigids(), rigids())
def test_composition_is_associative(a: RigidTransform, b: RigidTransform, c: RigidTransform) -> None:
    assert same((a @ b) @ c, a @ (b @ c))


@given(rigids())
def test_identity_and_inverse(a: RigidTransform) -> None:
    one = RigidTransform.identity()
    assert same(a @ one, a)
    assert same(one @ a, a)
    assert same(a @ a.inverse(), one)
    assert same(a.inverse() @ a, one)


@given(rigids(), rigids(), st.lists(vectors, min_size=1, max_size=4))
def test_composing_is_applying_one_after_the_other(
    a: RigidTransform, b: RigidTransform, points: list[tuple[float, ...]]
) -> None:
    np.testing.assert_allclose((a @ b).apply(points), a.apply(b.apply(points)), atol=1e-9)
    np.testing.assert_allclose(a.inverse().apply(a.apply(points)), points, atol=1e-9)


@given(rigids(), vectors, vectors)
def test_distances_and_handedness_stay(a: RigidTransform, p: tuple[float, ...], q: tuple[float, ...]) -> None:
    before = np.linalg.norm(np.subtract(p, q))
    assert np.linalg.norm(a.apply(p) - a.apply(q)) == pytest.approx(before, abs=1e-9)
    np.testing.assert_allclose(np.cross(a.rotate(p), a.rotate(q)), a.rotate(np.cross(p, q)), atol=1e-8)


@given(rigids())
def test_matrix_quaternion_and_dict_read_back(a: RigidTransform) -> None:
    assert same(RigidTransform.from_matrix(a.matrix), a)
    assert same(RigidTransform.from_rotvec(a.rotvec_rad, a.translation_m), a)
    assert same(RigidTransform.from_quaternion(a.quaternion_xyzw, a.translation_m), a)
    assert same(RigidTransform.from_dict(a.to_dict()), a)
    assert a.quaternion_xyzw[3] >= -1e-12


@given(axes, angles)
def test_the_angle_is_the_angle(axis: tuple[float, ...], angle: float) -> None:
    way = np.array(axis) / np.linalg.norm(axis)
    rotvec = RigidTransform.from_rotvec(way * angle, np.zeros(3)).rotvec_rad
    assert np.linalg.norm(rotvec) == pytest.approx(angle, abs=1e-7)


def test_a_quarter_rotation_about_z_moves_x_to_y() -> None:
    turn = RigidTransform.from_quaternion([0, 0, math.sqrt(0.5), math.sqrt(0.5)], [1, 2, 3])
    np.testing.assert_allclose(turn.apply([[1.0, 0, 0]]), [[1, 3, 3]], atol=1e-12)


@given(st.lists(rigids(), min_size=1, max_size=6))
def test_many_logarithms_are_those_of_each(poses: list[RigidTransform]) -> None:
    many = rotvecs_from_rotations(np.array([pose.rotation for pose in poses]))
    np.testing.assert_allclose(many, [pose.rotvec_rad for pose in poses], atol=1e-12)


@given(rigids(), rigids())
def test_distance_is_the_size_of_the_transform_between(a: RigidTransform, b: RigidTransform) -> None:
    metres, radians = a.distance_to(b)
    assert metres == pytest.approx(float(np.linalg.norm(a.translation_m - b.translation_m)))
    assert radians == pytest.approx(np.linalg.norm((a.inverse() @ b).rotvec_rad), abs=1e-7)


@given(rigids(), vectors)
def test_the_mean_of_a_symmetric_cloud_is_its_middle(a: RigidTransform, offset: tuple[float, ...]) -> None:
    small = np.array(offset) / 100
    cloud = [a @ RigidTransform.from_rotvec(sign * small, sign * small) for sign in (-1, 0, 1)]
    assert same(average_poses(cloud), a)


@pytest.mark.parametrize(
    ("rotation", "translation", "reason"),
    [
        (np.diag([1.0, 1, -1]), np.zeros(3), "right-handed"),
        (2 * np.eye(3), np.zeros(3), "scales"),
        (np.eye(3), np.array([0, 0, np.nan]), "finite"),
        (np.eye(4), np.zeros(3), "(3, 3)"),
        (np.zeros((3, 3)), np.zeros(3), "scales"),
    ],
)
def test_invalid_transforms_are_refused(rotation: np.ndarray, translation: np.ndarray, reason: str) -> None:
    with pytest.raises(CalibrationError) as refused:
        RigidTransform(rotation, translation)
    assert reason in str(refused.value)


@pytest.mark.parametrize("fields", [{}, {"translation_m": [0, 0, 0]}, {"translation_m": "x", "quaternion_xyzw": 3}])
def test_broken_fields_are_refused(fields: dict[str, object]) -> None:
    with pytest.raises(CalibrationError):
        RigidTransform.from_dict(fields)


def test_rounded_numbers_of_a_file_become_a_rotation() -> None:
    exact = RigidTransform.from_rotvec([0.3, -0.2, 1.1], [0, 0, 0])
    rounded = RigidTransform(exact.rotation.round(4), np.zeros(3))
    np.testing.assert_allclose(rounded.rotation @ rounded.rotation.T, np.eye(3), atol=1e-12)
