"""Tests the parts of the face landmarks that need no networks, and the networks where they are cached."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibration.gaze.eye_features import measure_eyes
from engines import ModelError, weights
from engines.landmarks.face_detector import ANCHORS, SIDE, find_best_face
from engines.landmarks.face_landmarker import MODEL, FaceLandmarker
from engines.landmarks.picture_region import PictureRegion, enclose_points
from tests.engines.drawn_face import EYES, SIZE, draw_face

REGIONS = st.builds(
    PictureRegion, st.floats(-50, 400), st.floats(-50, 400), st.floats(5, 500), st.floats(-3, 3), st.booleans()
)


@given(REGIONS)
def test_the_middle_and_the_corners_of_a_crop_are_those_of_its_square(region):
    last = 63
    corners = np.array([[31.5, 31.5], [0, 0], [last, 0], [0, last], [last, last]], np.float32)
    middle, *others = region.to_picture(corners, 64)
    assert middle == pytest.approx((region.x, region.y), abs=1e-3)
    half_diagonal = region.side / 64 * last / math.sqrt(2)
    assert [np.hypot(*(one - middle)) for one in others] == pytest.approx([half_diagonal] * 4, rel=1e-4)
    along = others[1] - others[0]
    turned = math.atan2(along[1], along[0]) - region.angle - math.pi * region.is_mirrored
    assert math.cos(turned) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("is_mirrored", [False, True])
@pytest.mark.parametrize("angle", [0.0, 0.7, -2.0])
def test_a_point_of_the_crop_is_where_it_was_in_the_picture(angle, is_mirrored):
    image = np.zeros((200, 300, 3), np.uint8)
    image[88:91, 147:150] = 255  # around (148, 89)
    region = PictureRegion(140.0, 95.0, 60.0, angle, is_mirrored)
    crop = region.crop(image, 128)
    ys, xs = np.nonzero(crop[..., 0] > 127)
    found = region.to_picture(np.array([[xs.mean(), ys.mean()]], np.float32), 128)
    assert found[0] == pytest.approx((148, 89), abs=0.3)


def test_beyond_the_picture_a_crop_is_black():
    assert PictureRegion(-100, -100, 50).crop(np.full((60, 80, 3), 200, np.uint8), 32).max() == 0


def test_depths_are_scaled_like_the_rest():
    found = PictureRegion(0, 0, 128).to_picture(np.array([[0, 0, 3.0]], np.float32), 64)
    assert found[0, 2] == pytest.approx(6)


@given(st.floats(0, 200), st.floats(0, 200), st.floats(1, 80), st.floats(-1.5, 1.5))
def test_a_region_encloses_points_and_runs_along_them(x, y, length, angle):
    along = np.array([math.cos(angle), math.sin(angle)]) * length
    points = np.array([[x, y], [x, y]]) + np.array([[-1], [1]]) * along
    region = enclose_points(points, 0, 1, 2.0)
    assert (region.x, region.y) == pytest.approx((x, y), abs=1e-6)
    assert region.side == pytest.approx(4 * length * max(abs(math.cos(angle)), abs(math.sin(angle))))
    assert region.angle == pytest.approx(angle)


def test_there_are_two_anchors_on_the_fine_grid_and_six_on_the_coarse_one():
    assert ANCHORS.shape == (896, 2)
    assert ANCHORS[0] == pytest.approx((0.5 / 16, 0.5 / 16))
    assert ANCHORS[2] == pytest.approx((1.5 / 16, 0.5 / 16))  # x first
    assert ANCHORS[512] == pytest.approx((0.5 / 8, 0.5 / 8))
    assert ANCHORS[-1] == pytest.approx((7.5 / 8, 7.5 / 8))


@pytest.mark.parametrize("tilt", [0.0, 0.4, -0.4])
def test_the_best_face_is_decoded(tilt):
    boxes, logits = np.zeros((896, 16), np.float32), np.full(896, -200.0, np.float32)
    logits[[100, 600]] = 1.0, 4.0
    eyes = 10 * math.cos(tilt), 10 * math.sin(tilt)
    boxes[600, :8] = 3, -2, 40, 44, -eyes[0], -eyes[1], eyes[0], eyes[1]
    found = find_best_face(boxes, logits)
    assert found is not None
    face, score = found
    assert (face.x, face.y) == pytest.approx((ANCHORS[600, 0] * SIDE + 3, ANCHORS[600, 1] * SIDE - 2))
    assert face.side == pytest.approx(1.5 * 44)
    assert face.angle == pytest.approx(tilt)
    assert score == pytest.approx(1 / (1 + math.exp(-4)))


@pytest.mark.parametrize("logit", [-0.01, -1e9, np.nan])
def test_no_face_is_found_where_none_is_probable(logit):
    assert find_best_face(np.zeros((896, 16), np.float32), np.full(896, logit, np.float32)) is None


def test_missing_networks_are_named_with_the_remedy(tmp_path):
    with pytest.raises(ModelError, match="gazecast models pull face_landmarks"):
        FaceLandmarker(tmp_path)


@pytest.fixture(scope="module")
def finder():
    """Open the networks, which are small, where they were fetched."""
    if not weights.is_cached(MODEL):
        pytest.skip("gazecast models pull face_landmarks brings the networks")
    return FaceLandmarker()


def test_the_networks_find_no_face_in_a_picture_without_one(finder):
    noise = np.random.default_rng(0).uniform(0, 255, (360, 203, 3))
    for value in (np.zeros((240, 320, 3)), noise, np.zeros((1, 1, 3))):
        assert finder.find(value.astype(np.uint8)) is None


@pytest.mark.parametrize("offset", [(0, 0), (-5, 0), (5, 0), (0, 3), (0, -3)])
def test_the_networks_find_the_irises_of_a_drawn_face(finder, offset):
    found = finder.find(draw_face(*offset))
    assert found is not None
    assert found.presence > 0.9
    assert found.irises[:, 0] == pytest.approx(np.array(EYES) + offset, abs=3.0)
    for eye, (x, y) in zip(found.eyes, EYES, strict=True):
        assert eye[[0, 8]].mean(0) == pytest.approx((x, y), abs=6.0)
    assert found.eyes[0, 0, 0] < found.eyes[0, 8, 0]  # the outer corner is first
    assert found.eyes[1, 0, 0] > found.eyes[1, 8, 0]
    assert (found.eyes[:, 3:6, 1].mean(1) > found.eyes[:, 11:14, 1].mean(1)).all()  # the lower lid is first


@pytest.mark.parametrize(("angle", "scale", "shift"), [(20, 0.8, (90, -30)), (-25, 0.6, (-150, 60)), (0, 0.4, (0, 0))])
def test_the_networks_find_a_face_wherever_it_is(finder, angle, scale, shift):
    turn = cv2.getRotationMatrix2D((320.0, 240.0), angle, scale)
    turn[:, 2] += shift
    image = cv2.warpAffine(draw_face(), turn, SIZE, borderMode=cv2.BORDER_REPLICATE)
    finder.find(np.zeros_like(image))  # no face is followed any more
    for _ in range(2):  # detected, then followed
        found = finder.find(image)
        assert found is not None
        expected = np.array(EYES) @ turn[:, :2].T + turn[:, 2]
        assert found.irises[:, 0] == pytest.approx(expected, abs=4.0)


def test_the_networks_and_the_features_agree_on_the_direction(finder):
    screens = []
    for dx in (-5, 0, 5):
        found = finder.find(draw_face(dx, 0))
        features = measure_eyes(found.points, found.irises, found.eyes, SIZE, 60.0)
        assert features is not None
        screens.append(features.screen_mm[0])
    assert screens[0] - 30 > screens[1] > screens[2] + 30  # left in the picture is right for the person


def test_a_face_that_jumps_is_found_in_the_same_picture(finder):
    image = draw_face()
    for shift in (-160, 160, -160):
        moved = cv2.warpAffine(
            image, np.array([[0.5, 0, 160.0 + shift], [0, 0.5, 120.0]]), SIZE, borderMode=cv2.BORDER_REPLICATE
        )
        assert finder.find(moved) is not None
