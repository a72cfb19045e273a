"""Tests that contours reproduce the mask, and that edges are drawn where the homography maps them."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra.numpy import arrays

from realtime.comms.messages import MaskMessage
from realtime.config.viewer import IDENTITY, check_homography
from realtime.types import Confirmation, FrameRef, GazeRef, KeyframeRef, TimingNs
from realtime.viewer.contours import draw_edges, find_contours

SIZE = (160, 120)


def message(mask, state="locked"):
    return MaskMessage(
        FrameRef(1, 0.1, *SIZE), KeyframeRef(1, 0.1), GazeRef(0.1, 80, 60, 1, 5), 0.0, 1, state, 0.9, 0.9, mask,
        TimingNs(1, 1, 1, 1),
    )  # fmt: skip


def disc(x=80, y=60, radius=30):
    mask = np.zeros(SIZE[::-1], np.uint8)
    cv2.circle(mask, (x, y), radius, 1, -1)
    return mask > 0


def fill_contours(lines, shape):
    """Fill by the even-odd rule, borders included, as a page does."""
    out = np.zeros(shape, np.uint8)
    for line in lines:
        one = np.zeros(shape, np.uint8)
        cv2.fillPoly(one, [line.astype(np.int32)], 1)
        cv2.polylines(one, [line.astype(np.int32)], True, 0)  # of holes and bodies alike only the strict inside
        out ^= one
    for line in lines:
        cv2.polylines(out, [line.astype(np.int32)], True, 1)
    return out > 0


@settings(max_examples=60, deadline=None)
@given(arrays(np.bool_, (14, 19)))
def test_contours_reproduce_the_mask(mask):
    assert (fill_contours(find_contours(mask), mask.shape) == mask).all()


def test_a_ring_has_two_contours_and_an_empty_mask_none():
    ring = disc() & ~disc(radius=12)
    assert len(find_contours(ring)) == 2
    assert find_contours(np.zeros((5, 5), np.bool_)) == []


def test_edges_are_drawn_on_black():
    picture = draw_edges(message(disc()), SIZE, check_homography(IDENTITY))
    lit = picture.max(axis=2) > 100
    rows, columns = np.nonzero(lit)
    away = np.abs(np.hypot(columns - 80, rows - 60) - 30)
    assert lit.sum() > 150
    assert away.max() < 4
    assert not picture[60, 80].any()
    assert not picture[:10].any()


def test_the_edges_of_a_confirmed_mask_have_a_white_rim():
    plain = message(disc())
    whites = [
        (draw_edges(each, (640, 480), np.diag([4.0, 4, 1])).min(2) > 250).sum()
        for each in (plain, replace(plain, confirmed=Confirmation("key", 1, 2)))
    ]
    assert whites[0] == 0
    assert whites[1] > 500


@pytest.mark.parametrize("result", [None, message(None, "lost")])
def test_without_a_mask_the_image_is_black(result):
    assert not draw_edges(result, SIZE, check_homography(IDENTITY)).any()


def test_a_homography_maps_the_edges():
    matrix = np.array([[2.0, 0.1, 15], [0.05, 1.8, -20], [2e-4, 1e-4, 1]])
    size = (400, 260)
    picture = draw_edges(message(disc()), size, matrix)
    rows, columns = np.nonzero(picture.max(axis=2) > 150)
    back = np.column_stack([columns, rows, np.ones(len(rows))]) @ np.linalg.inv(matrix).T
    back = back[:, :2] / back[:, 2:]
    away = np.abs(np.hypot(back[:, 0] - 80, back[:, 1] - 60) - 30)
    assert len(rows) > 300
    assert np.percentile(away, 95) < 2


def test_a_contour_beyond_the_horizon_is_left_out():
    matrix = np.array([[1.0, 0, 0], [0, 1, 0], [-1 / 80, 0, 1]])  # maps x = 80, the disc's middle, to infinity
    assert not draw_edges(message(disc()), SIZE, matrix).any()
