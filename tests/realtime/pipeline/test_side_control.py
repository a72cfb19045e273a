"""The picture side follows measured speed and motion, and settles."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime.pipeline.side_control import (
    CHANGES_TO_SETTLE,
    MOVING_SPEED,
    STILL_SPEED,
    PictureSideControl,
)

SIDES = (256, 320, 384, 512)


def run(
    control: PictureSideControl, ms_at_512: float, *, speed: float, frames: int = 60, fps: float = 30.0
) -> list[int]:
    """Play frames on a machine of one speed; the sides of the keyframes, every wanted side being compiled at once."""
    sides, time_ns, busy_until_ns = [], 0, 0.0
    for _ in range(frames):
        time_ns += round(1e9 / fps)
        control.observe_frame(time_ns, speed)
        if time_ns >= busy_until_ns:
            encode_ms = ms_at_512 * (control.side / 512) ** 2
            busy_until_ns = time_ns + encode_ms * 1e6
            sides.append(control.side)
            control.observe_encode(control.side, encode_ms)
            while (missing := control.find_missing()[0]) is not None:
                control.set_ready(missing)
    return sides


def started(ms_at_512: float | None = None) -> PictureSideControl:
    known = None if ms_at_512 is None else ms_at_512 / (512 * 288 / 1e6)
    return PictureSideControl(SIDES, 9 / 16, known)


@pytest.mark.parametrize(("ms_at_512", "expected"), [(40, 512), (110, 512), (160, 384), (250, 320), (600, 256)])
def test_a_moving_picture_gets_keyframes_within_four_frames(ms_at_512: float, expected: int) -> None:
    sides = run(started(), ms_at_512, speed=2 * MOVING_SPEED, frames=200)
    assert sides[0] == 256
    assert sides[-1] == expected


@pytest.mark.parametrize(("ms_at_512", "expected"), [(250, 512), (500, 384)])
def test_a_still_picture_gets_a_larger_side(ms_at_512: float, expected: int) -> None:
    assert run(started(), ms_at_512, speed=STILL_SPEED / 2, frames=300)[-1] == expected


def test_motion_counts_at_once_and_rest_after_a_while() -> None:
    control = started()
    assert run(control, 250, speed=0.0, frames=300)[-1] == 512
    moving = run(control, 250, speed=2 * MOVING_SPEED, frames=100)
    assert moving.index(320) <= CHANGES_TO_SETTLE
    assert run(control, 250, speed=0.0, frames=2)[-1] == 320


@given(st.lists(st.floats(-0.12, 0.12), min_size=30, max_size=60), st.sampled_from([90.0, 130.0, 200.0, 300.0]))
def test_noise_does_not_make_it_flicker(noise: list[float], ms_at_512: float) -> None:
    control = started()
    run(control, ms_at_512, speed=2 * MOVING_SPEED, frames=200)
    sides = []
    for index, share in enumerate(noise):
        control.observe_frame(10**12 + index * 33_333_333, 2 * MOVING_SPEED)
        control.observe_encode(control.side, ms_at_512 * (control.side / 512) ** 2 * (1 + share))
        sides.append(control.side)
    assert sum(a != b for a, b in pairwise(sides)) <= 2


def test_a_busy_machine_brings_the_side_down_and_an_idle_one_up() -> None:
    control = started()
    assert run(control, 100, speed=MOVING_SPEED, frames=200)[-1] == 512
    assert run(control, 300, speed=MOVING_SPEED, frames=200)[-1] < 384
    assert run(control, 100, speed=MOVING_SPEED, frames=400)[-1] == 512


@pytest.mark.parametrize(("ms_at_512", "side"), [(None, 256), (60.0, 512), (250.0, 320), (1000.0, 256)])
def test_a_run_begins_where_the_last_one_was_fast_enough(ms_at_512: float | None, side: int) -> None:
    assert started(ms_at_512).side == side


def test_only_compiled_sides_are_chosen() -> None:
    control = started()
    for index in range(20):
        control.observe_frame(index * 33_333_333, 0.0)
        control.observe_encode(control.side, 10.0)
    assert control.side == 256
    assert control.find_missing() == (512, False)


def test_a_side_for_a_still_picture_is_compiled_ahead() -> None:
    control = started(250)
    assert control.find_missing() == (512, True)
    control.set_ready(512)
    assert control.find_missing() == (None, True)


def test_the_frame_rate_sets_the_time_that_is_allowed() -> None:
    slow, fast = started(), started()
    assert (
        run(slow, 250, speed=2 * MOVING_SPEED, frames=200, fps=15)[-1]
        > run(fast, 250, speed=2 * MOVING_SPEED, frames=400, fps=60)[-1]
    )
