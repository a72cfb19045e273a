"""Outlines give the mask again; edges land where the homography says."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra.numpy import arrays

from realtime.comms import MaskMessage
from realtime.config.viewer import IDENTITY, check_homography
from realtime.types import FrameRef, GazeRef, KeyframeRef, TimingNs
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


def filled(lines, shape):
    """Even-odd, borders included, as a page draws it."""
    out = np.zeros(shape, np.uint8)
    for line in lines:
        one = np.zeros(shape, np.uint8)
        cv2.fillPoly(one, [line.astype(np.int32)], 1)
        cv2.polylines(one, [line.astype(np.int32)], True, 0)  # holes and bodies alike: what lies strictly inside
        out ^= one
    for line in lines:
        cv2.polylines(out, [line.astype(np.int32)], True, 1)
    return out > 0


@settings(max_examples=60, deadline=None)
@given(arrays(np.bool_, (14, 19)))
def test_outlines_give_the_mask_again(mask):
    assert (filled(find_contours(mask), mask.shape) == mask).all()


def test_a_ring_has_two_outlines_and_nothing_has_none():
    ring = disc() & ~disc(radius=12)
    assert len(find_contours(ring)) == 2
    assert find_contours(np.zeros((5, 5), np.bool_)) == []


def test_edges_are_on_the_edge_and_black_elsewhere():
    picture = draw_edges(message(disc()), SIZE, check_homography(IDENTITY))
    lit = picture.max(axis=2) > 100
    rows, columns = np.nonzero(lit)
    away = np.abs(np.hypot(columns - 80, rows - 60) - 30)
    assert lit.sum() > 150
    assert away.max() < 4
    assert not picture[60, 80].any()
    assert not picture[:10].any()


@pytest.mark.parametrize("what", [None, message(None, "lost")])
def test_without_a_mask_all_is_black(what):
    assert not draw_edges(what, SIZE, check_homography(IDENTITY)).any()


def test_a_homography_moves_scales_and_tilts():
    matrix = np.array([[2.0, 0.1, 15], [0.05, 1.8, -20], [2e-4, 1e-4, 1]])
    size = (400, 260)
    picture = draw_edges(message(disc()), size, matrix)
    rows, columns = np.nonzero(picture.max(axis=2) > 150)
    back = np.column_stack([columns, rows, np.ones(len(rows))]) @ np.linalg.inv(matrix).T
    back = back[:, :2] / back[:, 2:]
    away = np.abs(np.hypot(back[:, 0] - 80, back[:, 1] - 60) - 30)
    assert len(rows) > 300
    assert np.percentile(away, 95) < 2


def test_what_lies_behind_the_horizon_is_left_out():
    matrix = np.array([[1.0, 0, 0], [0, 1, 0], [-1 / 80, 0, 1]])  # x = 80, the disc's middle, is infinitely far
    assert not draw_edges(message(disc()), SIZE, matrix).any()
