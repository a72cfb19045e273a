"""Tests where eyes look, from landmarks of a face that looks at a known place."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibration.gaze.eye_features import BlinkDetector, fit_head, measure_eyes, measure_opening
from tests.calibration.gaze.faces import FOV_DEG, PICTURE, make_landmarks, rotate

ANGLES = st.floats(-20, 20)


def measure(target_mm=(0.0, 0.0), **pose):
    found = measure_eyes(*make_landmarks(target_mm, **pose), PICTURE, FOV_DEG)
    assert found is not None
    return found


@given(st.tuples(st.floats(-300, 300), st.floats(-50, 350)), st.floats(400, 900))
def test_the_place_on_the_screen_is_found(target_mm, distance_mm):
    found = measure(target_mm, distance_mm=distance_mm)
    assert found.screen_mm == pytest.approx(target_mm, abs=0.5)
    assert found.distance_mm == pytest.approx(distance_mm, rel=1e-3)
    assert found.person_distance_mm == pytest.approx(distance_mm, rel=1e-3)


@given(ANGLES, ANGLES, ANGLES, st.tuples(st.floats(100, 540), st.floats(100, 380)))
def test_it_does_not_depend_on_the_heads_pose(yaw, pitch, roll, place_px):
    found = measure((100.0, 150.0), rotation=rotate(yaw, pitch, roll), place_px=place_px)
    assert found.screen_mm == pytest.approx((100.0, 150.0), abs=1.0)


@given(ANGLES, ANGLES, ANGLES)
def test_the_heads_rotation_and_scale_are_found(yaw, pitch, roll):
    rotation = rotate(yaw, pitch, roll)
    points, _, _ = make_landmarks((0, 0), rotation=rotation, distance_mm=500.0)
    found = fit_head(points)
    assert found is not None
    assert np.allclose(found[0], rotation, atol=1e-6)


def test_right_is_right_for_the_person_and_left_in_the_picture():
    _, straight, _ = make_landmarks((0, 0))
    _, right, _ = make_landmarks((100, 0))
    assert right[0, 0, 0] < straight[0, 0, 0]
    assert measure((100.0, 0.0)).screen_mm[0] > 50


def test_the_persons_distance_is_that_of_the_irises_whatever_the_face_measures():
    points, irises, eyes = make_landmarks((0, 0), distance_mm=600.0)
    centre = irises[:, :1]
    found = measure_eyes(points, centre + (irises - centre) * 1.2, eyes, PICTURE, FOV_DEG)
    assert found is not None
    assert found.person_distance_mm == pytest.approx(500, rel=1e-3)


@pytest.mark.parametrize("value", [np.nan, np.inf, 0.0])
def test_landmarks_that_are_no_face_are_refused(value):
    points, irises, eyes = make_landmarks((0, 0))
    assert measure_eyes(np.full_like(points, value), irises, eyes, PICTURE, FOV_DEG) is None


def test_an_iris_far_outside_its_eye_is_refused():
    assert measure_eyes(*make_landmarks((0, 0), noise_px=40.0), PICTURE, FOV_DEG) is None


def test_nonfinite_irises_are_refused():
    points, irises, eyes = make_landmarks((0, 0))
    assert measure_eyes(points, irises * np.nan, eyes, PICTURE, FOV_DEG) is None


@given(st.floats(0.05, 0.5))
def test_the_opening_of_the_lids_is_measured(opening):
    _, _, eyes = make_landmarks((0, 0), opening=opening, rotation=rotate(roll_deg=12))
    assert measure_opening(eyes) == pytest.approx(opening, rel=0.1)


def test_a_blink_is_detected_and_narrow_eyes_are_none():
    for usual in (0.2, 0.35):
        blinks = BlinkDetector()
        assert not any(blinks.is_closed(usual * factor) for factor in (1, 1.05, 0.95, 0.8, 1) * 10)
        assert [blinks.is_closed(usual * factor) for factor in (0.7, 0.3, 0.1, 0.3, 0.9)] == [
            False, True, True, True, False,
        ]  # fmt: skip
