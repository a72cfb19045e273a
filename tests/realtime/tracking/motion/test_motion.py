from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from engines import Image, Letterbox
from realtime.tracking.motion.common_fate import measure_common_fate
from realtime.tracking.motion.flow_chain import FlowChain, structural_similarity
from realtime.tracking.motion.optical_flow import FlowHistory, MotionSettings
from realtime.types import Frame, Mask

WIDTH, HEIGHT = 640, 360
INNER = np.array([[200, 120], [320, 180], [420, 260], [250, 240]], np.float32)


def texture(seed: int, width: int = 1300, height: int = 660) -> Image:
    """Something to see at every scale, as in a real picture."""
    noise = np.random.default_rng(seed)
    picture = np.zeros((height, width, 3))
    for blur in (2, 6, 20, 60):
        picture += cv2.GaussianBlur(noise.normal(size=picture.shape), (0, 0), blur) * blur
    low, high = picture.min(), picture.max()
    return ((picture - low) / (high - low) * 255).astype(np.uint8)


WIDE, OTHER = texture(1), texture(2)


def view(dx: int, dy: int = 0, wide: Image = WIDE) -> Image:
    """What a camera sees that has turned by (dx, dy) px: the scene moves the other way."""
    return np.ascontiguousarray(wide[150 + dy : 150 + dy + HEIGHT, 300 + dx : 300 + dx + WIDTH])


def frame(index: int, image: Image) -> Frame:
    return Frame(image, index, index / 24, index, index)


def motion_of(*images: Image, **changed: float) -> FlowHistory:
    motion = FlowHistory(MotionSettings(**changed))  # type: ignore[arg-type]
    for index, image in enumerate(images):
        motion.push(frame(index, image))
    return motion


def shift(dx: float, dy: float) -> NDArray[np.float32]:
    return np.array([dx, dy], np.float32)


def disc(x: float, y: float, radius: float) -> Mask:
    rows, columns = np.ogrid[:HEIGHT, :WIDTH]
    return (columns - x) ** 2 + (rows - y) ** 2 <= radius**2


def iou(a: Mask, b: Mask) -> float:
    return float((a & b).sum() / (a | b).sum())


@settings(max_examples=12, deadline=None)
@given(st.integers(-70, 70), st.integers(-40, 40))
def test_a_pan_is_measured_to_half_a_pixel_and_inverted(dx: int, dy: int) -> None:
    chain = motion_of(view(0), view(dx, dy)).chain(0)
    assert chain is not None
    then = chain.to_then(INNER)
    np.testing.assert_allclose(then, INNER + shift(dx, dy), atol=0.5)
    np.testing.assert_allclose(chain.to_now(then), INNER, atol=0.5)
    in_view = (1 - abs(dx) / WIDTH) * (1 - abs(dy) / HEIGHT)
    assert chain.trust > in_view - 0.1


@pytest.mark.parametrize(("dx", "dy"), [(120, 0), (-150, 60), (0, -90), (66, -19)])
def test_a_fast_pan_is_followed(dx: int, dy: int) -> None:
    chain = motion_of(view(0), view(dx, dy)).chain(0)
    assert chain is not None
    there = np.array([[320, 180], [400 - dx / 2, 200 - dy / 2]], np.float32)
    np.testing.assert_allclose(chain.to_then(there), there + shift(dx, dy), atol=1.0)


def test_an_object_that_the_camera_follows_stays() -> None:
    before, after = view(0).copy(), view(80).copy()
    before[120:240, 260:380] = after[120:240, 260:380] = OTHER[200:320, 400:520]
    chain = motion_of(before, after).chain(0)
    assert chain is not None
    np.testing.assert_allclose(chain.to_then(np.array([[320, 180]], np.float32)), [[320, 180]], atol=1.5)
    np.testing.assert_allclose(chain.to_then(np.array([[120, 300]], np.float32)), [[200, 300]], atol=1.5)


def test_a_chain_adds_up_its_steps_and_is_kept_up_to_date() -> None:
    motion = FlowHistory()
    for index in range(8):
        motion.push(frame(index, view(9 * index, -4 * index)))
        chain = motion.chain(0)  # asked for at every frame: composed one step at a time
        assert chain is not None
        assert (chain.then, chain.now) == (0, index)
        np.testing.assert_allclose(chain.to_then(INNER), INNER + shift(9 * index, -4 * index), atol=1.0)
    late = motion.chain(3)  # asked for the first time: composed at once
    assert late is not None
    np.testing.assert_allclose(late.to_then(INNER), INNER + shift(36, -16), atol=1.0)


def test_a_chain_that_was_not_used_for_long_is_composed_anew_to_the_same_bytes() -> None:
    often, seldom = FlowHistory(), FlowHistory()
    for index in range(12):
        for motion in (often, seldom):
            motion.push(frame(index, view(7 * index, 3 * (index % 4))))
        assert often.chain(0) is not None
        seldom.chain(index)
    assert len(seldom._chains) < 8
    kept, anew = often.chain(0), seldom.chain(0)
    assert kept is not None
    assert anew is not None
    assert kept.displacement.tobytes() == anew.displacement.tobytes()
    assert kept.weakest == anew.weakest


def test_motion_is_traced_back_from_any_frame_of_the_ring() -> None:
    motion = motion_of(view(0), view(8, 4), view(16, 8), view(24, 12), view(40, 12))
    near, far, itself = (np.asarray(found) for found in motion.trace_back(3, [2, 0, 3]))
    scale = near.shape[1] / WIDTH
    inner = np.s_[20:-20, 20:-20]
    np.testing.assert_allclose(near[inner].mean((0, 1)) / scale, shift(8, 4), atol=0.5)
    np.testing.assert_allclose(far[inner].mean((0, 1)) / scale, shift(24, 12), atol=0.5)
    assert not itself.any()
    assert motion.trace_back(3, []) == []
    assert motion.trace_back(3, [-7])[0] is None
    assert motion.trace_back(9, [2])[0] is None
    assert [motion.index_before(3, frames) for frames in (1, 3, 4)] == [2, 0, None]
    assert motion.index_before(9, 1) is None


def test_motion_is_not_traced_across_a_cut() -> None:
    motion = motion_of(view(0), view(0, wide=OTHER), view(4, wide=OTHER))
    found = motion.trace_back(2, [1, 0])
    assert found[0] is not None
    assert found[1] is None


def small(mask: np.ndarray, chain: FlowChain) -> np.ndarray:
    h, w = chain.displacement.shape[:2]
    return cv2.resize(mask.astype(np.float32), (w, h), interpolation=cv2.INTER_AREA) - 0.5


def test_masks_and_logits_are_warped_to_the_newest_frame() -> None:
    chain = motion_of(view(0), view(20, 6), view(41, 11)).chain(0)
    assert chain is not None
    before, now = disc(340, 190, 60), disc(340 - 41, 190 - 11, 60)
    assert iou(chain.warp(small(before, chain)) > 0, small(now, chain) > 0) > 0.95
    box = Letterbox(WIDTH, HEIGHT, picture_side=768)
    rows, columns = round(HEIGHT * 192 / WIDTH), 192
    logits = np.full((4, 256, 256), -4, np.float32)
    logits[2, :rows, :columns] = cv2.resize(before.astype(np.float32), (columns, rows), interpolation=cv2.INTER_AREA)
    logits[2, :rows, :columns] = logits[2, :rows, :columns] * 8 - 4
    carried = chain.warp_logits(logits, box) > 0
    assert iou(carried[2], small(now, chain) > 0) > 0.94
    assert not carried[[0, 1, 3]].any()


def test_a_still_picture_has_no_motion_and_no_cost() -> None:
    noise = np.random.default_rng(0).normal(0, 2, (2, HEIGHT, WIDTH, 3))
    first, second = (np.clip(np.rint(view(0) + n), 0, 255).astype(np.uint8) for n in noise)
    chain = motion_of(first, second).chain(0)
    assert chain is not None
    assert not chain.displacement.any()
    assert chain.trust > 0.9


def test_a_small_moving_object_is_detected() -> None:
    before, after = view(0).copy(), view(0).copy()
    before[100:130, 100:130] = after[100:130, 108:138] = (20, 20, 230)
    chain = motion_of(before, after).chain(0)
    assert chain is not None
    assert chain.displacement.any()


@pytest.mark.parametrize("other", [OTHER, 255 - WIDE], ids=["another scene", "negative"])
def test_nothing_is_carried_across_a_cut(other: Image) -> None:
    motion = motion_of(view(0), view(3), view(0, wide=other), view(4, wide=other))
    assert motion.chain(0) is None
    assert motion.chain(1) is None
    assert motion.chain(2) is not None


def test_a_jump_of_exposure_is_no_cut() -> None:
    brighter = np.clip(view(12) * 1.35 + 12, 0, 255).astype(np.uint8)
    chain = motion_of(view(0), brighter).chain(0)
    assert chain is not None
    assert chain.trust > 0.8
    np.testing.assert_allclose(chain.to_then(INNER), INNER + shift(12, 0), atol=1.0)


def test_trust_falls_where_an_object_is_covered() -> None:
    hidden = view(5).copy()
    hidden[140:220, 260:380] = np.random.default_rng(3).integers(0, 255, (80, 120, 3))
    chain = motion_of(view(0), hidden).chain(0)
    assert chain is not None
    rows, columns = np.mgrid[: hidden.shape[0], : hidden.shape[1]]
    covered, free = (np.hypot(columns - x, rows - y) <= 20 for x, y in ((320, 180), (120, 90)))
    assert chain.trust_in(covered) < 0.4 < 0.9 < chain.trust_in(free)
    assert chain.trust_in(disc(320, 180, 30)) < 0.4
    assert chain.trust_in(np.zeros((HEIGHT, WIDTH), bool)) == chain.trust


def test_blur_lowers_trust() -> None:
    blurred = cv2.blur(view(10), (61, 1))
    sharp, soft = motion_of(view(0), view(10)).chain(0), motion_of(view(0), np.asarray(blurred, np.uint8)).chain(0)
    assert sharp is not None
    assert soft is None or soft.trust < sharp.trust - 0.1


def test_the_ring_is_bounded() -> None:
    motion = motion_of(*[view(i) for i in range(7)], ring=4)
    assert motion.chain(2) is None
    assert motion.chain(3) is not None
    assert motion.chain(99) is None


def test_another_size_or_a_device_that_counts_again_starts_afresh() -> None:
    motion = motion_of(view(0), view(1))
    motion.push(frame(2, np.ascontiguousarray(view(2)[:, :500])))
    assert motion.chain(1) is None
    assert motion.now == 2
    motion.push(frame(0, view(0)))
    assert motion.now == 0
    assert motion.chain(2) is None


@pytest.mark.parametrize(("width", "height"), [(40, 30), (33, 200), (1920, 64)])
def test_odd_sizes_work(width: int, height: int) -> None:
    images = [np.ascontiguousarray(cv2.resize(view(2 * i), (width, height))) for i in range(2)]
    chain = motion_of(*images).chain(0)
    assert chain is not None
    grid = chain.displacement.shape[:2]
    assert chain.warp(np.zeros(grid, np.float32)).shape == grid
    assert chain.warp_logits(np.zeros((4, 256, 256), np.float32), Letterbox(width, height)).shape == (4, *grid)
    assert chain.to_then(np.zeros((0, 2), np.float32)).shape == (0, 2)


def test_similarity_is_one_for_the_same_and_low_for_another() -> None:
    a, b = (np.ascontiguousarray(view(0, wide=w)[..., 0]) for w in (WIDE, OTHER))
    assert structural_similarity(a, a).min() > 0.999
    assert structural_similarity(a, b).mean() < 0.5


def moving(
    area: NDArray[np.bool_], x: float, y: float, ground: tuple[float, float] = (0.0, 0.0)
) -> NDArray[np.float32]:
    field = np.empty((*area.shape, 2), np.float32)
    field[:] = ground
    field[area] = x, y
    return field


@pytest.mark.parametrize("ground", [(0.0, 0.0), (3.0, -1.0)], ids=["still camera", "pan"])
def test_common_fate_prefers_the_moving_object(ground: tuple[float, float]) -> None:
    object_mask, part, group = (disc(320, 180, r)[::4, ::4] for r in (60, 25, 120))
    field = moving(object_mask, ground[0] + 1.0, ground[1] - 1.0, ground)
    fates = measure_common_fate(np.stack([part, object_mask, group, ~object_mask]), field)
    np.testing.assert_allclose(fates, [0, 1, 0, 1], atol=0.05)


def test_common_fate_is_zero_without_motion_and_for_slivers() -> None:
    object_mask = disc(320, 180, 60)[::4, ::4]
    assert measure_common_fate(object_mask[None], moving(object_mask, 0.0, 0.0))[0] == 0
    sliver = np.zeros_like(object_mask)
    sliver[40, 40] = True
    assert not measure_common_fate(
        np.stack([sliver, np.zeros_like(object_mask), np.ones_like(object_mask)]), moving(object_mask, 5.0, 0.0)
    ).any()
