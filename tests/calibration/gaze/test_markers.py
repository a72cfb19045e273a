"""Tests that markers are detected at any size and angle, by number."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from calibration.gaze.markers import draw_marker, find_marker_centres


def pasted(*placed, size=(640, 480)):
    """A grey picture with (number, x, y, side)."""
    out = np.full((size[1], size[0], 3), 128, np.uint8)
    for number, x, y, side in placed:
        out[y : y + side, x : x + side] = draw_marker(number, side)
    return out


@pytest.mark.parametrize("side", [40, 61, 120])
@pytest.mark.parametrize("number", [0, 23, 50 - 1])
def test_its_centre_and_number(number, side):
    found = find_marker_centres(pasted((number, 200, 90, side)))
    assert list(found) == [number]
    assert found[number] == pytest.approx((200 + (side - 1) / 2, 90 + (side - 1) / 2), abs=0.7)


def test_its_middle_at_an_angle_and_in_noise():
    flat = pasted((7, 260, 180, 121))
    corners = np.array([(0, 0), (640, 0), (640, 480), (0, 480)], np.float32)
    tilted = cv2.getPerspectiveTransform(
        corners, corners + np.array([(30, 40), (-80, 10), (-10, -60), (20, 0)], np.float32)
    )
    picture = cv2.warpPerspective(flat, tilted, (640, 480), borderValue=(128, 128, 128)).astype(float)
    picture = np.clip(picture + np.random.default_rng(0).normal(0, 6, picture.shape), 0, 255).astype(np.uint8)
    middle = cv2.perspectiveTransform(np.array([[[320.0, 240.0]]]), tilted.astype(float))[0, 0]
    assert find_marker_centres(picture)[7] == pytest.approx(middle, abs=1.0)


def test_several_and_none_and_large_pictures():
    assert set(find_marker_centres(pasted((1, 20, 20, 80), (2, 300, 200, 80)))) == {1, 2}
    assert find_marker_centres(np.full((480, 640, 3), 90, np.uint8)) == {}
    large = pasted((5, 2000, 1500, 240), size=(3840, 2160))
    assert find_marker_centres(large)[5] == pytest.approx((2119.5, 1619.5), abs=2.0)
