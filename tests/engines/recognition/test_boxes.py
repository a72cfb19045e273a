"""Boxes are measured in the picture's pixels, compared as areas, and move with what is in them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.recognition.boxes import measure_box, measure_box_iou, move_box

SIZE = 320, 240
BOXES = st.tuples(st.floats(0, 90), st.floats(0, 90), st.floats(1, 99), st.floats(1, 99)).map(
    lambda b: (b[0], b[1], b[0] + b[2], b[1] + b[3])
)


@given(BOXES, BOXES)
def test_the_iou_of_boxes_is_symmetric_and_a_share(one, two):
    assert measure_box_iou(one, two) == pytest.approx(measure_box_iou(two, one))
    assert 0 <= measure_box_iou(one, two) <= 1 + 1e-9
    assert measure_box_iou(one, one) == pytest.approx(1)


def test_the_box_of_a_mask_is_in_the_pictures_pixels():
    mask = np.zeros((30, 40), bool)
    assert measure_box(mask, (80, 60)) is None
    mask[3:6, 10:20] = True
    assert measure_box(mask, (80, 60)) == (19.5, 5.5, 39.5, 11.5)


@given(st.floats(-8, 8), st.floats(-8, 8), st.floats(20, 180), st.floats(20, 120))
def test_a_box_moves_against_the_displacement(dx, dy, x, y):
    box = x, y, x + 60, y + 50
    moved = move_box(box, np.broadcast_to(np.array([dx / 4, dy / 4], np.float32), (60, 80, 2)), SIZE)
    assert np.allclose(moved, np.array(box) - [dx, dy, dx, dy], atol=1e-3)


def test_a_box_that_left_the_picture_is_none():
    displacement = np.full((60, 80, 2), 500, np.float32)
    assert move_box((10.0, 10.0, 60.0, 60.0), displacement, SIZE) is None
