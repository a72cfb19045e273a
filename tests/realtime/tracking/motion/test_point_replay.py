from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engines import Floats, Image
from realtime.tracking.motion.flow_chain import pixel_grid
from realtime.tracking.motion.layered_motion import FramePair
from realtime.tracking.motion.motion_fusion import MotionFusion
from realtime.tracking.motion.optical_flow import FlowHistory
from realtime.tracking.motion.point_replay import measure_object_flow, replay_points
from realtime.tracking.motion.reference_mask import ReferenceMask
from realtime.types import Frame
from tests.realtime.tracking.motion.test_layered_motion import (
    HEIGHT,
    WIDTH,
    disc,
    iou,
    odds_of,
    pictures_of,
    scene,
)


def film(images: list[Image]) -> tuple[FramePair, list[Floats]]:
    """Measure the motion from the first picture to the last."""
    motion = FlowHistory()
    for index, image in enumerate(images):
        motion.push(Frame(image, index, index / 24, index, index))
    pair = motion.pair(0)
    assert pair is not None
    return pair, motion.flows_since(0)


def linear_flow(turn: float, growth: float, shift: tuple[float, float]) -> tuple[Floats, Floats]:
    """A (2, 3) map of a frame's positions to the one before, and its flow."""
    c, s = np.cos(turn) * growth, np.sin(turn) * growth
    back = np.array([[c, -s, shift[0]], [s, c, shift[1]]], np.float32)
    grid = pixel_grid((HEIGHT, WIDTH))
    return back, np.asarray(grid @ back[:, :2].T + back[:, 2] - grid, np.float32)


@settings(max_examples=30, deadline=None)
@given(st.floats(-0.02, 0.02), st.floats(0.98, 1.02), st.tuples(st.floats(-3, 3), st.floats(-3, 3)), st.integers(0, 6))
def test_points_go_forwards_where_flow_leads_back(
    turn: float, growth: float, shift: tuple[float, float], count: int
) -> None:
    back, flow = linear_flow(turn, growth, shift)
    begun = np.array([[150.0, 90.0], [200.0, 110.0]], np.float32)
    points = replay_points(begun, [flow] * count)
    for _ in range(count):
        points = points @ back[:, :2].T + back[:, 2]
    assert np.allclose(points, begun, atol=0.1)


@pytest.mark.parametrize(("dx", "pan", "frames"), [(3, 0, 8), (0, 6, 12), (-4, 3, 16), (2, -5, 24)])
def test_the_flow_of_an_object_reaches_back_to_its_keyframe(dx: int, pan: int, frames: int) -> None:
    pair, flows = film([scene(180 + dx * k, 100, 30, pan * k) for k in range(frames + 1)])
    own = measure_object_flow(odds_of(disc(180, 100, 30)), pair, flows)
    assert own is not None
    # Also a little beyond its edge, where the chain has gone with the ground.
    at = disc(180 + dx * frames, 100, 32)
    missed, chained = (float(np.quantile(np.hypot(*(way - (-dx * frames, 0))[at].T), 0.9)) for way in (own, pair.flow))
    assert missed < 6
    assert missed < chained / 3


@pytest.mark.parametrize(("dx", "pan"), [(5, -6), (-4, 3), (6, -2)])
def test_a_mask_is_carried_over_many_frames_in_one_go(dx: int, pan: int) -> None:
    pair, flows = film([scene(180 + dx * (k - 8), 100, 24, pan * k) for k in range(17)])
    reference = ReferenceMask.from_frame(odds_of(disc(180 - dx * 8, 100, 24)), pair.labs[0])
    first, second, chained = (MotionFusion().carry(reference, pair, way).odds for way in (flows, flows, []))
    truth = disc(180 + dx * 8, 100, 24)
    assert iou(first > 0, truth) > 0.8
    assert iou(first > 0, truth) > iou(chained > 0, truth) + 0.2
    assert first.tobytes() == second.tobytes()


def test_points_whose_colour_is_gone_do_not_count() -> None:
    """As when a wall covers half of the object: the rest decides."""
    images = [scene(180 + 3 * k, 100, 30) for k in range(9)]
    pair, flows = film(images)
    covered = images[-1].copy()
    covered[:, : 180 + 24] = (0, 255, 255)
    grey, lab = pictures_of(covered)
    flows[-1][:, : 180 + 24] = 40
    hidden = FramePair(0, 8, (pair.labs[0], lab), (pair.greys[0], grey), pair.flow)
    own = measure_object_flow(odds_of(disc(180, 100, 30)), hidden, flows)
    assert own is not None
    assert np.hypot(*(own[100, 215] - (-24, 0))) < 3


@pytest.mark.parametrize(
    ("images", "radius"),
    [
        pytest.param([scene(180, 100, 30)] * 6, 0, id="empty"),
        pytest.param([scene(180, 100, 30)] * 6, 1, id="hardly-a-point"),
        pytest.param([scene(340 + 9 * k, 100, 16) for k in range(9)], 16, id="left-the-picture"),
    ],
)
def test_without_points_there_is_no_flow(images: list[Image], radius: int) -> None:
    pair, flows = film(images)
    mask = disc(340 if radius > 1 else 180, 100, radius) if radius else np.zeros((HEIGHT, WIDTH), np.bool_)
    own = measure_object_flow(odds_of(mask), pair, flows)
    assert own is None or np.isfinite(own).all()
    reference = ReferenceMask.from_frame(odds_of(mask), pair.labs[0])
    assert np.isfinite(MotionFusion().carry(reference, pair, flows).odds).all()
