"""The report agrees with the received messages."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime.commands.demo.demo_clip import ScriptedTarget
from realtime.commands.demo.received import (
    ReceivedMask,
    clip_second,
    measure_keyframe_interval,
    measure_latencies,
    select_moments,
    share_states,
)
from realtime.comms.messages import MaskMessage
from realtime.types import FrameRef, GazeRef, KeyframeRef, State, TimingNs

MS = 1_000_000


def message(
    index: int, *, state: State = "preview", gaze_s: float | None = None, mask: np.ndarray | None = None
) -> MaskMessage:
    at_s = 100 + index / 25
    if mask is None and state != "lost":
        mask = np.ones((6, 7), np.bool_)
    return MaskMessage(
        frame=FrameRef(index, at_s, 7, 6), keyframe=KeyframeRef(index - 3, at_s - 0.12),
        gaze=GazeRef(at_s if gaze_s is None else gaze_s, 3, 3, 0.9, 5), carried_ms=0, object=1, state=state, score=0.9,
        confidence=0.8, mask=mask, timing_ns=TimingNs(10 * MS, 20 * MS, 25 * MS, 30 * MS), published_ns=32 * MS,
    )  # fmt: skip


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 5))
def test_a_message_comes_back_as_it_was(width: int, height: int, seed: int) -> None:
    mask = np.random.default_rng(seed).random((height, width)) > 0.5
    sent = replace(message(0, mask=mask), frame=FrameRef(0, 1.0, width, height))
    back = ReceivedMask.of(sent, 5).message
    assert np.array_equal(back.mask, mask)
    assert replace(back, mask=None) == replace(sent, mask=None) or back.frame == sent.frame
    assert ReceivedMask.of(message(0, state="lost"), 5).message.mask is None


def test_times_are_those_of_the_subscriber() -> None:
    found = measure_latencies([ReceivedMask.of(message(4), 50 * MS)])
    assert (found["gaze to mask"], found["frame to mask"]) == ([(0, 40)], [(0, 30)])
    assert found["keyframe age"] == [(0, pytest.approx(120))]


def test_a_gaze_counts_once_and_carried_masks_do_not() -> None:
    seen = [
        ReceivedMask.of(message(0, gaze_s=1.0), 50 * MS),
        ReceivedMask.of(message(1, gaze_s=1.0), 90 * MS),
        ReceivedMask.of(message(2, gaze_s=2.0, state="held"), 90 * MS),
        ReceivedMask.of(message(3, gaze_s=3.0, state="locked"), 60 * MS),
    ]
    assert measure_latencies(seen)["gaze to mask"] == [(0, 40), (pytest.approx(3 / 25), 50)]
    assert not any(measure_latencies([]).values())


def test_shares_add_up() -> None:
    states: list[State] = ["preview", "locked", "locked", "lost"]
    found = share_states([ReceivedMask.of(message(index, state=state), 0) for index, state in enumerate(states)])
    assert found == {"locked": 0.5, "preview": 0.25, "lost": 0.25}


def target(name: str, frames: range, mask: np.ndarray) -> ScriptedTarget:
    return ScriptedTarget(name, dict.fromkeys(frames, mask), is_exact=True)


def test_moments_of_targets_come_late_in_each_from_the_last_repetition() -> None:
    mask = np.ones((6, 7), np.bool_)
    targets = (target("a", range(9), mask), target("b", range(10, 20), mask))
    seen = [ReceivedMask.of(message(index), index) for index in (3, 15, 23, 24, 41, 45, 57)]  # 20 frames a time
    found = select_moments(seen, 20, targets)
    assert [(one.target, one.entry.bare.frame.index) for one in found] == [(targets[0], 45), (targets[1], 57)]
    assert select_moments([], 20, targets) == []
    assert [one.target for one in select_moments(seen[1:2], 20, targets)] == [targets[1]]  # no mask of the first came


@pytest.mark.parametrize(("columns", "iou", "is_right"), [(7, 1.0, True), (4, 4 / 7, True), (3, 3 / 7, False)])
def test_a_mask_is_right_when_half_of_it_is_the_targets(columns: int, iou: float, is_right: bool) -> None:
    truth = np.zeros((6, 7), np.bool_)
    truth[:, :columns] = True
    (found,) = select_moments([ReceivedMask.of(message(3), 0)], 20, (target("a", range(9), truth),))
    assert (found.iou, found.is_right) == (pytest.approx(iou), is_right)


def test_a_lost_object_is_wrong() -> None:
    targets = (target("a", range(9), np.ones((6, 7), np.bool_)),)
    (found,) = select_moments([ReceivedMask.of(message(3, state="lost"), 0)], 20, targets)
    assert (found.iou, found.is_right) == (0.0, False)


def test_moments_without_targets_are_spread() -> None:
    seen = [ReceivedMask.of(message(index), index) for index in range(100)]
    found = [one.entry.bare.frame.index for one in select_moments(seen, 1000, (), 4)]
    assert found == [24, 49, 74, 99]
    assert len(select_moments(seen[:3], 1000, ())) == 3


def test_the_interval_of_keyframes_is_the_mean_of_those_that_were_used() -> None:
    seen = [ReceivedMask.of(message(index), 0) for index in (3, 3, 8, 28)]  # keyframes 0, 5 and 25 at 25 a second
    assert measure_keyframe_interval(seen) == pytest.approx(500)
    assert measure_keyframe_interval(seen[:2]) is None


def test_seconds_of_the_clip_begin_anew() -> None:
    assert clip_second(ReceivedMask.of(message(260), 0), 250) == pytest.approx(0.4)
