"""A handful of points against the whole mask."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from realtime.tracking.dwell.mask_points import MaskPoints, compute_iou, is_near

SIZE = (640, 360)


def box(x0, y0, x1, y1, shape=(360, 640)):
    mask = np.zeros(shape, bool)
    mask[y0:y1, x0:x1] = True
    return mask


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 500), st.integers(0, 250), st.integers(20, 140), st.integers(20, 110), st.integers(-60, 60))
def test_the_overlap_is_nearly_that_of_the_masks(x, y, w, h, dx):
    one, other = box(x, y, x + w, y + h), box(max(x + dx, 0), y, max(x + dx + w, 1), y + h)
    truth = np.count_nonzero(one & other) / np.count_nonzero(one | other)
    lies = MaskPoints.from_mask(one, SIZE).compare_to(other, SIZE)
    assert lies.iou == pytest.approx(truth, abs=0.2)
    assert compute_iou(one, other) == pytest.approx(truth, abs=0.15)


def test_a_low_resolution_covers_the_same_frame():
    small = MaskPoints.from_mask(box(10, 10, 30, 25, (90, 160)), SIZE)
    assert small.area_px == pytest.approx(20 * 15 * 16, rel=0.1)
    assert small.compare_to(box(40, 40, 120, 100), SIZE).iou > 0.85


def test_a_tiny_mask_has_points_and_an_empty_one_none():
    assert len(MaskPoints.from_mask(box(100, 100, 102, 101), SIZE).points_px) == 2
    assert MaskPoints.from_mask(box(0, 0, 0, 0), SIZE) is None
    assert MaskPoints.from_mask(box(0, 0, 640, 360), SIZE).compare_to(box(0, 0, 0, 0), SIZE).iou == 0.0


def test_the_area_grows_with_the_points():
    sampled = MaskPoints.from_mask(box(200, 100, 300, 200), SIZE).map(lambda points: (points - 250) * 1.5 + 250)
    assert sampled.area_px == pytest.approx(22_500, rel=0.05)


def test_points_outside_the_frame_do_not_match():
    sampled = MaskPoints.from_mask(box(500, 100, 600, 200), SIZE)
    assert sampled.map(lambda points: np.add(points, [300, 0])).compare_to(box(540, 100, 640, 200), SIZE).iou == 0.0
    assert sampled.map(lambda points: np.add(points, [60, 0])).compare_to(box(560, 100, 640, 200), SIZE).iou > 0.85
    assert sampled.map(lambda points: np.full_like(points, math.nan)) is None


def test_near_is_measured_to_the_mask_in_frame_pixels():
    for shape, scale in [((360, 640), 1), ((90, 160), 4)]:
        mask = box(100 // scale, 100 // scale, 140 // scale, 140 // scale, shape)
        assert is_near(mask, SIZE, (120.0, 120.0), 0.0)
        assert is_near(mask, SIZE, (149.0, 120.0), 15.0)
        assert not is_near(mask, SIZE, (160.0, 120.0), 15.0)
        assert not is_near(mask, SIZE, (154.0, 154.0), 15.0), "a disc, not a square"
        assert not is_near(mask, SIZE, (-900.0, 5000.0), 15.0)


def test_masks_of_different_shapes_are_refused():
    with pytest.raises(ValueError, match="one shape"):
        compute_iou(box(0, 0, 1, 1), box(0, 0, 1, 1, (90, 160)))
