"""Tests one object's pose over time: stable axes, resting and moving objects."""

import itertools

import numpy as np
import pytest

from calibration import RigidTransform
from calibration.objects.boxes import OrientedBox
from calibration.objects.pose_filter import PoseFilter

POSE = RigidTransform.from_rotvec([0.4, -0.3, 0.8], [0.1, 0.05, 0.8])
SIDES = np.array([0.2, 0.15, 0.1])


def moved(x_m, noise_m=0.0):
    """Move the box to the right."""
    return OrientedBox(RigidTransform(POSE.rotation, POSE.translation_m + np.array([x_m, 0, 0]) + noise_m), SIDES)


def renamed(pose, extents, rng):
    """Change the signs of the box's axes, as a fit may do."""
    signs = rng.choice([-1.0, 1.0], 3)
    signs[2] *= np.sign(signs.prod())
    return OrientedBox(RigidTransform(pose.rotation * signs, pose.translation_m), extents)


def run(boxes, *, rate_hz=30.0, noise_m=0.001):
    pose_filter = PoseFilter()
    return [pose_filter.update(10 + n / rate_hz, box, box.pose.translation_m, noise_m) for n, box in enumerate(boxes)]


def test_axes_keep_their_signs_for_any_axis_order():
    rng = np.random.default_rng(0)
    poses = run([renamed(POSE, SIDES, rng) for _ in range(20)])
    for one, next_one in itertools.pairwise(poses):
        assert next_one.pose.distance_to(one.pose) == pytest.approx((0, 0), abs=1e-6)
    assert poses[-1].extents_m == pytest.approx(SIDES)


def test_two_sides_that_are_alike_do_not_swap_with_the_noise_and_stay_sorted():
    rng = np.random.default_rng(1)
    boxes = []
    for _ in range(40):
        sides = np.array([0.2, 0.2, 0.1]) * (1 + rng.normal(0, 0.01, 3))
        turn = POSE.rotation
        if sides[1] > sides[0]:  # the fit sorts, so that its x and y swap
            sides, turn = sides[[1, 0, 2]], turn[:, [1, 0, 2]] * (1, 1, -1)
        boxes.append(renamed(RigidTransform(turn, POSE.translation_m), sides, rng))
    poses = run(boxes)
    assert all(np.diff(one.extents_m).max() <= 0 for one in poses)
    assert all(one.pose.distance_to(poses[0].pose)[1] < 0.01 for one in poses)


def test_a_resting_object_is_smoothed_and_not_moving():
    rng = np.random.default_rng(2)
    boxes = []
    for _ in range(90):
        shaken = RigidTransform.from_rotvec(rng.normal(0, 0.01, 3), rng.normal(0, 0.001, 3))
        boxes.append(
            OrientedBox(
                RigidTransform(shaken.rotation @ POSE.rotation, POSE.translation_m + shaken.translation_m), SIDES
            )
        )
    poses = run(boxes)[45:]
    measured = np.std([box.pose.translation_m for box in boxes[45:]], axis=0).mean()
    assert np.std([one.pose.translation_m for one in poses], axis=0).mean() < 0.35 * measured
    assert not any(one.is_moving for one in poses)
    assert poses[-1].pose.distance_to(POSE)[1] < 0.01


def test_a_moving_object_is_followed_and_rests_again():
    rng = np.random.default_rng(3)
    places = [max(0.0, min(1.0, n / 30 - 0.5)) * 0.4 for n in range(90)]  # stands, 0.4 m/s for a second, stands
    boxes = [moved(x, rng.normal(0, 0.001, 3)) for x in places]
    poses = run(boxes)
    assert poses[40].is_moving
    assert poses[40].velocity_m_s == pytest.approx([0.4, 0, 0], abs=0.05)
    assert np.linalg.norm(poses[40].pose.translation_m - boxes[40].pose.translation_m) < 0.01
    assert not poses[-1].is_moving
    assert poses[-1].velocity_m_s == pytest.approx([0, 0, 0], abs=0.02)


def test_velocity_is_reported_only_once_known():
    poses = run([OrientedBox(POSE, SIDES)] * 6)
    assert poses[0].velocity_m_s is None
    assert poses[-1].velocity_m_s == pytest.approx([0, 0, 0], abs=1e-6)


def test_another_part_of_the_object_is_not_a_movement():
    part = moved(0.15)
    poses = run([OrientedBox(POSE, SIDES)] * 10 + [part] * 10)
    assert poses[10].velocity_m_s is None
    assert not any(one.is_moving for one in poses)
    assert poses[10].pose.translation_m == pytest.approx(part.pose.translation_m)


def test_a_single_outlier_is_rejected_and_a_persistent_one_accepted():
    odd = OrientedBox(
        RigidTransform(
            POSE.rotation @ RigidTransform.from_rotvec([0, 0, 0.6], np.zeros(3)).rotation, POSE.translation_m
        ),
        SIDES,
    )
    poses = run([OrientedBox(POSE, SIDES)] * 10 + [odd] + [OrientedBox(POSE, SIDES)] * 3 + [odd] * 10)
    assert poses[10].pose.distance_to(POSE)[1] < 1e-6
    assert poses[-1].pose.distance_to(odd.pose)[1] < 1e-3


def test_after_a_gap_it_begins_anew():
    pose_filter = PoseFilter()
    for n in range(10):
        pose_filter.update(n / 30, OrientedBox(POSE, SIDES), POSE.translation_m, 0.001)
    elsewhere = moved(0.5)
    poses = pose_filter.update(5.0, elsewhere, elsewhere.pose.translation_m, 0.001)
    assert poses.velocity_m_s is None
    assert poses.pose.translation_m == pytest.approx(elsewhere.pose.translation_m)
