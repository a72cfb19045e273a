"""The report agrees with the received messages."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime.commands.demo.received import ReceivedMask, clip_second, measure_latencies, select_moments, share_states
from realtime.commands.demo.scripted_gaze import ScriptedFixation
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


def test_moments_of_fixations_come_late_in_each_from_the_last_repetition() -> None:
    fixations = (ScriptedFixation("a", ((0, 1, 1), (8, 1, 1))), ScriptedFixation("b", ((10, 2, 2), (19, 2, 2))))
    seen = [ReceivedMask.of(message(index), index) for index in (3, 15, 23, 24, 41, 45, 57)]  # 20 frames a time
    found = [(name, one.bare.frame.index) for name, one in select_moments(seen, 20, fixations)]
    assert found == [("a", 45), ("b", 57)]
    assert select_moments([], 20, fixations) == []
    assert [name for name, _ in select_moments(seen, 20, fixations, 1)] == ["b"]


def test_moments_without_fixations_are_spread() -> None:
    seen = [ReceivedMask.of(message(index), index) for index in range(100)]
    found = [one.bare.frame.index for _, one in select_moments(seen, 1000, (), 4)]
    assert found == [24, 49, 74, 99]
    assert len(select_moments(seen[:3], 1000, ())) == 3


def test_seconds_of_the_clip_begin_anew() -> None:
    assert clip_second(ReceivedMask.of(message(260), 0), 250) == pytest.approx(0.4)
