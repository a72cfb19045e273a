"""The target screen and the scene with its rings are drawn; the window itself needs a screen."""

from __future__ import annotations

import os

import numpy as np
import pytest

from calibration.gaze.choreography import TargetAdvice, build_moving_steps, build_screen_steps
from calibration.gaze.markers import find_marker_centres
from realtime.commands.calibrate.choreography_run import OperatorAction
from realtime.commands.calibrate.target_window import SCREEN, TargetWindow, compute_position_px, draw_scene, draw_screen
from realtime.types import Frame


@pytest.mark.parametrize("step", build_screen_steps(9), ids=lambda step: step.name)
def test_each_target_is_detected_at_its_position(step):
    screen = draw_screen(TargetAdvice(step, 0.4, 3, 13, "look at the marker, upper left"))
    assert screen.shape == (SCREEN[1], SCREEN[0], 3)
    assert find_marker_centres(screen)[step.marker] == pytest.approx(compute_position_px(step, SCREEN), abs=1.5)


def test_progress_changes_the_screen():
    step = build_screen_steps(5)[0]
    few, more = (draw_screen(TargetAdvice(step, share, 0, 9, "look")) for share in (0.1, 0.6))
    assert (few != more).any()
    assert find_marker_centres(draw_screen(TargetAdvice(None, 1.0, 9, 9, "done"))) == {}


def test_the_scene_shows_the_ring_for_the_marker():
    picture = np.full((360, 640, 3), 90, np.uint8)
    for step in build_moving_steps():
        drawn = draw_scene(picture, TargetAdvice(step, 0.5, 0, 13, "turn"), "head")
        at = round(step.place[1] * 360), round(step.place[0] * 640)
        around = drawn[max(0, at[0] - 60) : at[0] + 60, max(0, at[1] - 60) : at[1] + 60]
        assert (around == 255).any()
    assert (draw_scene(picture, TargetAdvice(None, 0, 0, 0, ""), "press") != picture).any()
    assert (picture == 90).all()


@pytest.mark.skipif(not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")), reason="there is no display")
def test_a_key_freezes_the_picture_and_a_click_marks_the_fixation():
    window = TargetWindow("press", full=False)
    try:
        frame = Frame(np.full((240, 320, 3), 80, np.uint8), 0, 12.5, 0, 0)
        window.show(TargetAdvice(None, 1.0, 0, 0, ""), frame)
        assert window.handle_key(ord(" ")) == []
        window._store_click(1, 100, 60, 0, None)
        assert window.handle_key(255) == [OperatorAction(12.5, 100.0, 60.0, "fit")]
        window.handle_key(ord("c"))
        window.handle_key(ord(" "))
        window._store_click(1, 10, 20, 0, None)
        assert window.handle_key(255) == [OperatorAction(12.5, 10.0, 20.0, "check")]
        assert window.handle_key(ord("r")) == ["repeat"]
        assert window.handle_key(ord("q")) == ["leave"]
    finally:
        window.close()
