"""Tests the parts of the hand landmarks that need no networks, and the networks where they are cached."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines import ModelError, weights
from engines.landmarks.hand_landmarker import MODEL, HandLandmarker, follow_hand
from engines.landmarks.palm_detector import ANCHORS, SIDE, find_palms
from realtime.tracking.pinch_detector import measure_pinch
from tests.calibration.shared import SHARED
from tests.engines.drawn_hand import OPEN, SIZE, draw_hand, place_hand

STILLS = SHARED / "stills" / "images"


def test_there_are_two_anchors_on_the_fine_grid_and_six_on_the_coarse_one():
    assert ANCHORS.shape == (2016, 2)
    assert ANCHORS[0] == pytest.approx((0.5 / 24, 0.5 / 24))
    assert ANCHORS[1152] == pytest.approx((0.5 / 12, 0.5 / 12))
    assert ANCHORS[-1] == pytest.approx((11.5 / 12, 11.5 / 12))


def palms(*found):
    """Outputs of the detector with palms of (anchor, logit, angle, size)."""
    boxes, logits = np.zeros((2016, 18), np.float32), np.full(2016, -50.0, np.float32)
    for anchor, logit, angle, size in found:
        up = 20 * math.sin(angle), -20 * math.cos(angle)
        boxes[anchor, :10] = 2, -3, size, size - 4, 0, 0, 0, 0, *up
        logits[anchor] = logit
    return boxes, logits


@pytest.mark.parametrize("angle", [0.0, 0.7, -2.0, 3.0])
def test_a_palm_is_decoded_to_the_region_of_its_hand(angle):
    (hand,) = find_palms(*palms((300, 3.0, angle, 40)), 2)
    middle = ANCHORS[300] * SIDE + (2, -3) + 20 * np.array([math.sin(angle), -math.cos(angle)])  # half a palm up
    assert (hand.x, hand.y) == pytest.approx(tuple(middle), abs=1e-3)
    assert hand.side == pytest.approx(2.6 * 40)
    assert math.cos(hand.angle - angle) == pytest.approx(1)


def test_the_most_probable_palms_are_found_once():
    boxes = palms((300, 3.0, 0, 40), (302, 4.0, 0, 40), (1000, 1.0, 0, 40), (60, 2.0, 0, 30))
    found = [(hand.x, hand.y) for hand in find_palms(*boxes, 2)]
    expected = [ANCHORS[anchor] * SIDE + (2, -3 - half) for anchor, half in ((302, 20), (60, 15))]
    assert found == [pytest.approx(tuple(each), abs=1e-3) for each in expected]
    assert len(find_palms(*boxes, 5)) == 3


@pytest.mark.parametrize("logit", [-0.01, -1e9, np.nan])
def test_no_palm_is_found_where_none_is_probable(logit):
    assert find_palms(np.zeros((2016, 18), np.float32), np.full(2016, logit, np.float32), 2) == []


@given(st.floats(-500, 500), st.floats(-500, 500), st.floats(20, 500), st.floats(-3.1, 3.1))
def test_the_region_of_the_next_picture_moves_scales_and_turns_with_the_hand(x, y, side, angle):
    upright = follow_hand(OPEN)
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]) * side / 100
    region = follow_hand(OPEN @ turn.T + (x, y))
    assert (region.x, region.y) == pytest.approx(tuple(turn @ (upright.x, upright.y) + (x, y)), abs=1e-3)
    assert region.side == pytest.approx(upright.side * side / 100, rel=1e-6)
    assert math.cos(region.angle - upright.angle - angle) == pytest.approx(1, abs=1e-6)


def test_missing_networks_are_named_with_the_remedy(tmp_path):
    with pytest.raises(ModelError, match="gazecast models pull hands"):
        HandLandmarker(tmp_path)


@pytest.fixture
def finder():
    """Open the networks, which are small, where they were fetched."""
    if not weights.is_cached(MODEL):
        pytest.skip("gazecast models pull hands brings the networks")
    return HandLandmarker()


def test_the_networks_find_no_hand_in_a_picture_without_one(finder):
    noise = np.random.default_rng(0).uniform(0, 255, (360, 203, 3))
    for value in (np.zeros((240, 320, 3)), noise, np.zeros((1, 1, 3))):
        assert finder.find(value.astype(np.uint8)) == ()


@pytest.mark.parametrize(("angle", "scale", "shift"), [(0, 1.0, (0, 0)), (40, 0.7, (60, -40)), (-120, 0.4, (-150, 60))])
def test_the_networks_find_the_points_of_a_drawn_hand(finder, angle, scale, shift):
    turn = cv2.getRotationMatrix2D((SIZE[0] / 2, SIZE[1] / 2), angle, scale)
    turn[:, 2] += shift
    measured = []
    for openness in (1.0, 1.0, 0.5, 0.0, 0.0):  # detected, then followed
        image = cv2.warpAffine(draw_hand(openness), turn, SIZE, borderMode=cv2.BORDER_REPLICATE)
        (hand,) = finder.find(image)
        assert (hand.number, hand.presence > 0.9) == (1, True)
        expected = place_hand(openness) @ turn[:, :2].T + turn[:, 2]
        assert np.linalg.norm(hand.points[:, :2] - expected, axis=1).mean() < 15 * scale
        measured.append(measure_pinch(hand))
    assert min(measured[:2]) > 0.9
    assert 0.45 < measured[2] < 0.8
    assert max(measured[3:]) < 0.25


def test_two_hands_are_followed_apart(finder):
    image = draw_hand(1.0, (160.0, 240.0), 250.0)
    for number, openness in ((1, 1.0), (2, 0.0), (3, 0.0)):
        hands = finder.find(draw_hand(openness, (480.0, 240.0), 250.0, image))
        assert len(hands) == 2
        if number == 1:
            left, right = sorted(hands, key=lambda hand: hand.points[0, 0])
    found = {hand.number: measure_pinch(hand) for hand in hands}
    assert found[left.number] > 0.9
    assert found[right.number] < 0.25
    assert finder.find(np.zeros_like(image)) == ()
    assert {hand.number for hand in finder.find(image)}.isdisjoint(found), "a hand that comes back is another one"


def test_the_networks_find_hands_in_real_pictures(finder):
    pictures = sorted(STILLS.glob("*.jpg"))
    if not pictures:
        pytest.skip(f"no stills in {STILLS}")
    found = [HandLandmarker.find(finder, cv2.imread(str(path))) for path in pictures]
    assert sum(any(hand.presence > 0.9 for hand in hands) for hands in found) >= 5
