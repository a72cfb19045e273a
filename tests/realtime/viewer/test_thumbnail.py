"""Tests that a thumbnail shows its object at any position and size in the frame."""

import cv2
import numpy as np
import pytest

from realtime.viewer.thumbnail import BestThumbnails, crop_box, draw_thumbnail
from tests.realtime.viewer.test_shown_objects import shown_result


@pytest.mark.parametrize(
    ("size", "box"),
    [
        ((640, 480), (300, 200, 340, 260)), ((640, 480), (0, 0, 30, 30)), ((640, 480), (600, 400, 640, 480)),
        ((1280, 720), (0, 0, 1280, 720)), ((1280, 720), (100, 0, 300, 720)), ((64, 48), (20, 20, 21, 21)),
        ((7, 5), (3, 3, 4, 4)),
    ],
)  # fmt: skip
def test_a_thumbnail_contains_the_object_and_keeps_the_aspect_ratio(size, box):
    mask = np.zeros((size[1], size[0]), np.bool_)
    x0, y0, x1, y1 = box
    mask[y0:y1, x0:x1] = True
    left, top, right, bottom = crop_box(mask, (192, 144))
    assert 0 <= left < right <= size[0]
    assert 0 <= top < bottom <= size[1]
    assert abs((right - left) * 3 - (bottom - top) * 4) <= 4  # whole pixels
    shown = mask[top:bottom, left:right].sum() / mask.sum()
    assert shown == 1 or (right - left == size[0] or bottom - top == size[1])
    image = np.full((*mask.shape, 3), 100, np.uint8)
    image[mask] = 200
    drawn = draw_thumbnail(image, mask, "locked")
    assert drawn.shape == (144, 192, 3)
    if shown == 1 and mask.sum() > 500 and not mask.all():  # larger than the drawn edge
        assert (drawn == 200).all(axis=2).any()  # the object unchanged
        assert (drawn == 60).all(axis=2).any()  # its surroundings dimmed
        assert (drawn == (255, 200, 60)).all(axis=2).any()  # the edge between them


def test_an_empty_mask_shows_the_middle_of_the_frame():
    assert crop_box(np.zeros((480, 640), np.bool_), (192, 144)) == (0, 0, 640, 480)


def test_the_best_thumbnail_of_an_object_is_kept():
    best = BestThumbnails()
    assert (best.version(1), best.jpeg(1)) == (0, None)
    best.add_result(shown_result(0, 1, "lost"))
    assert best.version(1) == 0
    best.add_result(shown_result(1, 1, "held"))
    first = best.jpeg(1)
    assert first is not None
    assert cv2.imdecode(np.frombuffer(first, np.uint8), cv2.IMREAD_COLOR).shape == (144, 192, 3)
    best.add_result(shown_result(2, 1, "locked"))  # better, but 40 ms later
    assert best.version(1) == 1
    best.add_result(shown_result(30, 1, "locked"))
    assert best.version(1) == 2
    assert best.jpeg(1) != first
    best.add_result(shown_result(60, 1, "preview"))  # not better
    assert (best.version(1), best.version(2)) == (2, 0)
    best.clear()
    assert best.version(1) == 0
