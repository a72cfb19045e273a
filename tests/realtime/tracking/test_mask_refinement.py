from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from engines import Image, Mask
from realtime.tracking.mask_refinement import RefinementSettings, remove_small_regions, sharpen_edges

WIDTH, HEIGHT = 854, 480


def disc(x: float, y: float, radius: float) -> Mask:
    rows, columns = np.ogrid[:HEIGHT, :WIDTH]
    return (columns - x) ** 2 + (rows - y) ** 2 <= radius**2


def scene(object_mask: Mask, noise: float = 8) -> Image:
    """A reddish object before greenish ground, both with grain."""
    picture = np.where(object_mask[..., None], (60, 60, 170), (70, 130, 80)) + np.random.default_rng(0).normal(
        0, noise, (*object_mask.shape, 3)
    )
    return np.clip(np.rint(picture), 0, 255).astype(np.uint8)


def iou(a: Mask, b: Mask) -> float:
    return float((a & b).sum() / (a | b).sum())


OBJECT = disc(420, 240, 90)
IMAGE = scene(OBJECT)


@settings(max_examples=15, deadline=None)
@given(st.integers(-6, 6), st.integers(-6, 6), st.integers(-5, 5))
def test_an_edge_a_few_pixels_off_snaps_back(dx: int, dy: int, grown: int) -> None:
    # At this age the uncertain band reaches 10 px of an 854 px frame to either side; beyond it nothing changes.
    assume(np.hypot(dx, dy) + abs(grown) <= 10)
    carried = disc(420 + dx, 240 + dy, 90 + grown)
    sharp = sharpen_edges(carried, IMAGE, age=3)
    assert iou(sharp, OBJECT) > 0.96
    assert iou(sharp, OBJECT) >= iou(carried, OBJECT) - 0.02


def test_a_mask_of_a_smaller_grid_comes_out_at_full_size() -> None:
    small = cv2.resize(disc(424, 243, 92).astype(np.uint8), (432, 243), interpolation=cv2.INTER_AREA) > 0
    assert iou(sharpen_edges(small, IMAGE, age=3), OBJECT) > 0.975


@pytest.mark.parametrize("radius", [2, 3, 4, 6, 8])
@pytest.mark.parametrize("contrast", [True, False])
def test_a_small_mask_survives(radius: int, contrast: bool) -> None:
    small = disc(420, 240, radius)
    image = scene(small if contrast else np.zeros_like(small))
    working = cv2.resize(small.astype(np.float32), (360, 202), interpolation=cv2.INTER_AREA) > 0.4
    assert iou(sharpen_edges(working, image, age=1), small) > 0.5


def test_without_contrast_the_mask_stays() -> None:
    flat = np.full((HEIGHT, WIDTH, 3), 128, np.uint8)
    assert iou(sharpen_edges(OBJECT, flat, age=3), OBJECT) > 0.97


def test_doubt_lets_the_picture_decide_farther_from_the_edge() -> None:
    ghost = OBJECT | (disc(500, 240, 60) & ~OBJECT)  # a trail over what was uncovered
    doubtful = np.ones((120, 213), np.float32)
    doubtful[ghost[2::4, 2::4][:120, :213] & ~OBJECT[2::4, 2::4][:120, :213]] = -0.2
    blind, guided = sharpen_edges(ghost, IMAGE, age=3), sharpen_edges(ghost, IMAGE, age=3, similarity=doubtful)
    assert iou(guided, OBJECT) > iou(blind, OBJECT) + 0.02


def test_the_band_grows_with_age() -> None:
    off = disc(420, 240, 104)
    assert iou(sharpen_edges(off, IMAGE, age=8), OBJECT) > iou(sharpen_edges(off, IMAGE, age=0), OBJECT)


@pytest.mark.parametrize("mask", [np.zeros((HEIGHT, WIDTH), bool), np.ones((HEIGHT, WIDTH), bool)])
def test_empty_and_full_masks_stay(mask: Mask) -> None:
    assert (sharpen_edges(mask, IMAGE, age=2) == mask).mean() > 0.99


@pytest.mark.parametrize(("width", "height"), [(32, 24), (7, 300), (1920, 1080)])
def test_any_size_works(width: int, height: int) -> None:
    small = cv2.resize(OBJECT.astype(np.uint8), (width, height)) > 0
    image = cv2.resize(IMAGE, (width, height))
    sharp = sharpen_edges(small, np.asarray(image, np.uint8), age=1)
    assert sharp.shape == small.shape
    assert sharp.dtype == np.bool_


def test_a_mask_at_the_border_is_no_trouble() -> None:
    corner = disc(0, 0, 80)
    assert iou(sharpen_edges(disc(4, 3, 80), scene(corner), age=3), corner) > 0.96


def test_the_work_is_bounded() -> None:
    coarse = sharpen_edges(disc(424, 244, 90), IMAGE, age=3, settings=RefinementSettings(area=2000))
    assert iou(coarse, OBJECT) > 0.93


def test_specks_go_and_pinholes_are_filled_and_large_parts_stay() -> None:
    whole = disc(300, 240, 80)
    other = disc(600, 240, 40)
    messy = (whole | other | disc(120, 60, 3)) & ~disc(300, 240, 3)
    np.testing.assert_array_equal(remove_small_regions(messy), whole | other)


def test_a_large_hole_stays() -> None:
    ring = disc(300, 240, 80) & ~disc(300, 240, 40)
    np.testing.assert_array_equal(remove_small_regions(ring), ring)


def test_a_hole_touching_the_border_of_its_box_is_no_hole() -> None:
    cross = np.zeros((HEIGHT, WIDTH), bool)
    cross[200:220, 100:300] = cross[100:320, 190:210] = True
    np.testing.assert_array_equal(remove_small_regions(cross), cross)


def test_the_part_under_the_gaze_is_kept_at_any_size() -> None:
    big, fixated = disc(300, 240, 80), disc(600, 240, 4)
    np.testing.assert_array_equal(remove_small_regions(big | fixated), big)
    np.testing.assert_array_equal(remove_small_regions(big | fixated, (600, 240)), big | fixated)
    np.testing.assert_array_equal(remove_small_regions(big, (-50.0, 9999.0)), big)


def test_an_empty_mask_stays_empty() -> None:
    assert not remove_small_regions(np.zeros((HEIGHT, WIDTH), bool), (3, 3)).any()
