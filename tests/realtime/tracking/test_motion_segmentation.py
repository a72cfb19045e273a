"""Masks without a model: by motion, else by colours, at any point of any picture."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from realtime.tracking.motion_segmentation import (
    SegmentationSettings,
    compute_motion_odds,
    connected_region,
    fit_background,
    segment_at_point,
)

SIZE = (360, 202)
USE = SegmentationSettings()


def square_scene(*, centre=(150, 100), half=30, own=(6.0, 0.0), pan=(-3.0, 1.0), colour=(40, 60, 200)):
    """A textured square on a textured ground; both move, and flow smears the square's edge by 4 px."""
    w, h = SIZE
    rng = np.random.default_rng(3)
    image = rng.integers(90, 130, (h, w, 3)).astype(np.uint8)
    truth, smeared = np.zeros((h, w), bool), np.zeros((h, w), bool)
    x, y = centre
    truth[max(0, y - half) : y + half, max(0, x - half) : x + half] = True
    smeared[max(0, y - half - 4) : y + half + 4, max(0, x - half - 4) : x + half + 4] = True
    image[truth] = np.clip(np.array(colour) + rng.integers(-15, 15, (truth.sum(), 3)), 0, 255)
    displacement = np.full((h, w, 2), pan, np.float32)
    displacement[smeared] = own
    displacement += rng.normal(0, 0.1, displacement.shape).astype(np.float32)
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2LAB)), displacement, truth


def iou(a, b):
    return (a & b).sum() / (a | b).sum()


@pytest.mark.parametrize(
    ("centre", "at"),
    [((150, 100), (150.0, 100.0)), ((150, 100), (170.0, 85.0)), ((10, 12), (8.0, 9.0)), ((350, 190), (359.0, 201.0))],
)
def test_a_moving_object_is_segmented_over_a_moving_background(centre, at):
    image, displacement, truth = square_scene(centre=centre)
    found = segment_at_point(image, displacement, at, 5.0, USE)
    assert found.is_moving
    assert iou(found.mask, truth) > 0.85


def test_the_edge_is_placed_by_colour_where_flow_smears_it():
    image, displacement, truth = square_scene()
    odds, contrast = compute_motion_odds(displacement, (150.0, 100.0), 5.0)
    assert contrast > 10
    assert iou(connected_region(odds > 0, (150.0, 100.0)), truth) < 0.8
    assert iou(segment_at_point(image, displacement, (150.0, 100.0), 5.0, USE).mask, truth) > 0.95


@pytest.mark.parametrize("displacement", [None, np.zeros((202, 360, 2), np.float32)])
def test_a_still_scene_is_segmented_by_colour(displacement):
    image, _, truth = square_scene(half=22)
    found = segment_at_point(image, displacement, (150.0, 100.0), 5.0, USE)
    assert not found.is_moving
    assert iou(found.mask, truth) > 0.8


def test_a_small_still_object_gets_no_huge_mask():
    image, _, truth = square_scene(half=10)
    found = segment_at_point(image, None, (150.0, 100.0), 5.0, USE)
    assert truth.sum() * 0.5 < found.mask.sum() < truth.sum() * 2


def test_what_moves_with_the_camera_is_no_object():
    image, displacement, _ = square_scene()
    found = segment_at_point(image, displacement, (300.0, 40.0), 5.0, USE)
    assert not found.is_moving
    assert found.mask.mean() < 0.1


def test_background_motion_is_that_of_most_of_the_picture():
    _, displacement, truth = square_scene()
    background = fit_background(displacement)
    assert np.abs(background - np.array([-3.0, 1.0])).max() < 0.3
    assert background.shape == (*truth.shape, 2)


@given(
    st.tuples(st.integers(32, 90), st.integers(32, 90)),
    st.tuples(st.floats(-1e4, 1e4), st.floats(-1e4, 1e4)),
    st.floats(0, 300),
    st.sampled_from(["none", "still", "noise", "jump"]),
)
@settings(deadline=None, max_examples=60)
def test_every_point_of_every_picture_gets_a_mask_and_the_same_one_twice(size, at, radius, motion):
    rng = np.random.default_rng(5)
    w, h = size
    image = rng.integers(0, 255, (h, w, 3)).astype(np.uint8)
    displacement = {
        "none": None,
        "still": np.zeros((h, w, 2), np.float32),
        "noise": rng.normal(0, 20, (h, w, 2)).astype(np.float32),
        "jump": np.full((h, w, 2), 1e4, np.float32),
    }[motion]
    masks = [segment_at_point(image, displacement, at, radius, USE).mask for _ in range(2)]
    assert masks[0].shape == (h, w)
    assert masks[0].any()
    assert np.array_equal(*masks)


def test_a_plain_picture_keeps_the_disc():
    image = np.full((202, 360, 3), 120, np.uint8)
    found = segment_at_point(image, None, (180.0, 100.0), 5.0, USE)
    assert 0.01 < found.mask.mean() < 0.12
