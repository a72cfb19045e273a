from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engines import Floats, Image, Mask
from realtime.tracking.mask_refinement import remove_small_regions, upsample_mask
from realtime.tracking.motion.layered_motion import MAX_ODDS

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


def make_odds(mask: Mask, size: tuple[int, int] = (360, 202)) -> Floats:
    """Log-odds of a mask on the (width, height) working grid, as carried masks have them: sure beyond 3 pixels."""
    small = cv2.resize(mask.astype(np.uint8), size, interpolation=cv2.INTER_AREA) > 0
    inner, outer = (cv2.distanceTransform(each.astype(np.uint8), cv2.DIST_L2, 3) for each in (small, ~small))
    return np.asarray(np.clip((inner - outer) / 3, -1, 1) * MAX_ODDS, np.float32)


@settings(max_examples=15, deadline=None)
@given(st.integers(-2, 2), st.integers(-2, 2))
def test_an_edge_a_pixel_off_snaps_back(dx: int, dy: int) -> None:
    off = disc(420 + dx, 240 + dy, 90)
    odds = make_odds(off)
    plain = cv2.resize(odds, (WIDTH, HEIGHT), interpolation=cv2.INTER_LINEAR) > 0
    sharp = upsample_mask(odds, IMAGE)
    assert iou(sharp, OBJECT) > 0.95
    assert iou(sharp, OBJECT) >= iou(plain, OBJECT) - 0.003


def test_without_contrast_the_mask_stays() -> None:
    flat = np.full((HEIGHT, WIDTH, 3), 128, np.uint8)
    assert iou(upsample_mask(make_odds(OBJECT), flat), OBJECT) > 0.96


@pytest.mark.parametrize("mask", [np.zeros((HEIGHT, WIDTH), bool), np.ones((HEIGHT, WIDTH), bool)])
def test_empty_and_full_masks_stay(mask: Mask) -> None:
    assert (upsample_mask(make_odds(mask), IMAGE) == mask).mean() > 0.99


@pytest.mark.parametrize("radius", [2, 3, 4, 6, 10])
def test_a_small_object_stays(radius: int) -> None:
    small = disc(420, 240, radius)
    assert iou(upsample_mask(make_odds(small), scene(small)), small) > 0.35
    assert iou(upsample_mask(make_odds(small), np.full_like(IMAGE, 128)), small) > 0.2


@pytest.mark.parametrize(("width", "height"), [(32, 24), (7, 300), (1920, 1080)])
def test_any_size_works(width: int, height: int) -> None:
    image = np.asarray(cv2.resize(IMAGE, (width, height)), np.uint8)
    mask = upsample_mask(make_odds(OBJECT, (max(4, width // 3), max(4, height // 3))), image)
    assert mask.shape == image.shape[:2]
    assert mask.dtype == np.bool_


def test_a_mask_at_the_border_is_no_trouble() -> None:
    corner = disc(0, 0, 80)
    assert iou(upsample_mask(make_odds(corner), scene(corner)), corner) > 0.93


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
