from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from engines import Floats, Image, Mask
from realtime.tracking.motion.flow_chain import pixel_grid
from realtime.tracking.motion.layered_motion import CarriedOdds, FramePair, carry_odds, has_collapsed, signed_depth
from realtime.tracking.motion.motion_fusion import MotionFusion
from realtime.tracking.motion.optical_flow import FlowHistory
from realtime.tracking.motion.reference_mask import ReferenceMask, fit_affine
from realtime.types import Frame

WIDTH, HEIGHT = 360, 202
IDENTITY = np.eye(2, 3, dtype=np.float32)


def texture(seed: int, colour: tuple[int, int, int]) -> Image:
    noise = np.random.default_rng(seed)
    picture = np.zeros((2 * HEIGHT, 4 * WIDTH, 3))
    for blur in (1.5, 4, 12):
        picture += cv2.GaussianBlur(noise.normal(size=picture.shape), (0, 0), blur) * blur * 40
    return np.asarray(np.clip(picture + colour, 0, 255), np.uint8)


OBJECT, GROUND = texture(1, (60, 60, 190)), texture(2, (120, 150, 70))


def disc(x: float, y: float, radius: float) -> Mask:
    rows, columns = np.ogrid[:HEIGHT, :WIDTH]
    return (columns - x) ** 2 + (rows - y) ** 2 <= radius**2


def scene(x: int, y: int, radius: float, pan: int = 0, angle: float = 0.0) -> Image:
    """A textured disc at (x, y), turned by an angle, before ground that has moved by `pan` px."""
    turned = cv2.warpAffine(OBJECT, cv2.getRotationMatrix2D((600.0, 150.0), angle, 1.0), OBJECT.shape[1::-1])
    picture = GROUND[20 : 20 + HEIGHT, 200 - pan : 200 - pan + WIDTH].copy()
    inside = disc(x, y, radius)
    picture[inside] = turned[150 - y : 150 - y + HEIGHT, 600 - x : 600 - x + WIDTH][inside]
    return picture


def odds_of(mask: Mask) -> Floats:
    return np.asarray(cv2.GaussianBlur(np.where(mask, 8, -8).astype(np.float32), (0, 0), 1), np.float32)


def iou(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    return float((a & b).sum() / max(1, (a | b).sum()))


def pictures_of(image: Image) -> tuple[NDArray[np.uint8], Image]:
    return (
        np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), np.uint8),
        np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2LAB), np.uint8),
    )


def begin(motion: FlowHistory, mask: Mask) -> CarriedOdds:
    now = motion.now
    assert now is not None
    return CarriedOdds(now, odds_of(mask), ReferenceMask.from_frame(odds_of(mask), motion.lab), IDENTITY)


def carry_through(images: list[Image], mask: Mask) -> list[CarriedOdds]:
    """Carry the first picture's mask through all of them."""
    motion, out = FlowHistory(), []
    for index, image in enumerate(images):
        motion.push(Frame(image, index, index / 24, index, index))
        if index == 0:
            out.append(begin(motion, mask))
            continue
        pair = motion.pair(index - 1)
        assert pair is not None
        out.append(carry_odds(out[-1], pair))
    return out


@pytest.mark.parametrize(("dx", "pan"), [(3, 0), (0, 4), (-4, 3), (2, -5)])
def test_a_mask_follows_its_object_and_leaves_no_trail(dx: int, pan: int) -> None:
    images = [scene(180 + dx * k, 100, 30, pan * k) for k in range(12)]
    last = carry_through(images, disc(180, 100, 30))[-1].odds > 0
    assert iou(last, disc(180 + dx * 11, 100, 30)) > 0.85


def test_a_turning_object_is_followed() -> None:
    images = [scene(180 + k, 100, 34, pan=2 * k, angle=4.0 * k) for k in range(12)]
    carried = carry_through(images, disc(180, 100, 34))[-1]
    assert iou(carried.odds > 0, disc(191, 100, 34)) > 0.85
    turn = np.degrees(np.arctan2(carried.to_reference[1, 0], carried.to_reference[0, 0]))
    assert abs(abs(turn) - 44) < 15


def test_an_object_that_was_half_hidden_comes_back_whole() -> None:
    images = []
    for k in range(20):
        image = scene(180 + k, 100, 30, pan=2 * k)
        left = 120 + 10 * k  # a grey post passes in front
        image[:, left : left + 12] = 128
        images.append(image)
    carried = carry_through(images, disc(180, 100, 30))
    assert min(np.count_nonzero(each.odds > 0) for each in carried) < 0.8 * disc(180, 100, 30).sum()
    assert iou(carried[-1].odds > 0, disc(199, 100, 30)) > 0.9


@pytest.mark.parametrize("radius", [2, 3, 4, 6])
def test_a_small_mask_survives(radius: int) -> None:
    images = [scene(180 + k, 100, radius) for k in range(8)]
    last = carry_through(images, disc(180, 100, radius))[-1].odds > 0
    assert 0.3 < last.sum() / disc(187, 100, radius).sum() < 3


def test_an_empty_mask_stays_empty() -> None:
    images = [scene(180 + k, 100, 30) for k in range(3)]
    assert not (carry_through(images, np.zeros((HEIGHT, WIDTH), np.bool_))[-1].odds > 0).any()


def test_an_object_that_leaves_the_picture_ends_without_an_error() -> None:
    images = [scene(340 + 9 * k, 100, 20) for k in range(9)]
    assert np.count_nonzero(carry_through(images, disc(340, 100, 20))[-1].odds > 0) < 0.3 * disc(340, 100, 20).sum()


def test_the_same_pictures_give_the_same_odds() -> None:
    images = [scene(180 + 2 * k, 100, 30, pan=k) for k in range(6)]
    first, second = (carry_through(images, disc(180, 100, 30))[-1].odds for _ in range(2))
    assert first.tobytes() == second.tobytes()


@settings(max_examples=20, deadline=None)
@given(st.integers(0, WIDTH - 1), st.integers(0, HEIGHT - 1), st.integers(1, 120), st.integers(-60, 60))
def test_any_mask_and_flow_give_finite_odds(x: int, y: int, radius: int, flow: int) -> None:
    then, now = pictures_of(scene(180, 100, 30)), pictures_of(scene(190, 100, 30))
    displacement = np.full((HEIGHT, WIDTH, 2), flow, np.float32)
    pair = FramePair(0, 1, (then[1], now[1]), (then[0], now[0]), displacement)
    odds = odds_of(disc(x, y, radius))
    reference = ReferenceMask.from_frame(odds, then[1])
    fused = (
        MotionFusion().carry(reference, pair, [np.asarray(displacement / count, np.float32)] * count)
        for count in (1, 8)
    )
    for carried in (carry_odds(CarriedOdds(0, odds, reference, IDENTITY), pair), *fused):
        assert (carried.index, carried.odds.shape) == (1, odds.shape)
        assert np.isfinite(carried.odds).all()
        assert np.isfinite(carried.to_reference).all()


def test_fused_flows_reach_an_object_that_the_chain_has_lost() -> None:
    """As after a fast pan: the object stayed, and chained flow says that it went with the ground."""
    then, now = pictures_of(scene(180, 100, 30)), pictures_of(scene(184, 100, 30, pan=40))
    lost = np.full((HEIGHT, WIDTH, 2), (-40.0, 0.0), np.float32)
    odds = odds_of(disc(180, 100, 30))
    pair = FramePair(0, 8, (then[1], now[1]), (then[0], now[0]), lost)
    fused = MotionFusion().carry(ReferenceMask.from_frame(odds, then[1]), pair, [np.asarray(lost / 8, np.float32)] * 8)
    assert iou(fused.odds > 0, disc(184, 100, 30)) > 0.8
    assert iou(disc(220, 100, 30), disc(184, 100, 30)) < 0.3


def test_the_reference_knows_its_colours() -> None:
    _, lab = pictures_of(scene(180, 100, 30))
    ratios = ReferenceMask.from_frame(odds_of(disc(180, 100, 30)), lab).compare_colours(lab)
    assert ratios[disc(180, 100, 25)].mean() > 1
    assert ratios[~disc(180, 100, 35)].mean() < -1


@settings(max_examples=25, deadline=None)
@given(st.floats(-8, 8), st.floats(-8, 8), st.floats(-0.15, 0.15), st.floats(0.9, 1.1))
def test_an_affine_map_is_found_despite_outliers(dx: float, dy: float, turn: float, grown: float) -> None:
    at = np.ascontiguousarray(pixel_grid((80, 80)))
    linear = grown * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    flow = np.asarray((at - 40) @ linear.T + 40 + (dx, dy) - at, np.float32)
    flow[:6] = 30
    weight = np.ones((80, 80), np.float32)
    found = fit_affine(at, flow, weight)
    ends = np.array([[10.0, 10.0], [70.0, 70.0]])
    assert np.abs(ends @ found[:, :2].T + found[:, 2] - ((ends - 40) @ linear.T + 40 + (dx, dy))).max() < 2.5
    assert np.array_equal(fit_affine(at, flow, np.zeros_like(weight)), IDENTITY)


@pytest.mark.parametrize(("before", "after", "collapsed"), [(3, 1, True), (3, 3, False), (40, 1, False), (3, 0, True)])
def test_only_small_masks_collapse(before: float, after: float, collapsed: bool) -> None:
    empty = np.zeros((HEIGHT, WIDTH), np.bool_)
    assert has_collapsed(disc(50, 50, before), disc(50, 50, after) if after else empty) is collapsed


@pytest.mark.parametrize(("value", "depth"), [(True, 50), (False, -50)])
def test_a_mask_without_an_edge_has_a_finite_depth(value: bool, depth: float) -> None:
    assert (signed_depth(np.full((20, 30), value)) == depth).all()
