"""Tests a cooperative wearer, an uncooperative one, and one who stops."""

from __future__ import annotations

import numpy as np
import pytest

from calibration.gaze.choreography import (
    MOVING_MARKER,
    TIMEOUT_S,
    GazeChoreography,
    build_moving_steps,
    build_screen_steps,
)

SIZE = (1000, 600)
FPS, HZ = 30, 200


class Wearer:
    """Simulates gaze `off` px from the target, after a reaction time; tests advance its clock."""

    def __init__(self, choreography, off=(12.0, -7.0), confidence=0.9):
        self.choreography, self.off, self.confidence = choreography, off, confidence
        self.now = 100.0

    def watch(self, seconds, visible=True, where=None, marker=None):
        """Add frames and gaze for so long, with the advised marker at its place in the picture."""
        frames = round(seconds * FPS)
        for _ in range(frames):
            step = self.choreography.advise(self.now).step
            if where is None and step is None:
                return
            at = where or (step.place[0] * SIZE[0], step.place[1] * SIZE[1])
            number = marker if marker is not None else step.marker
            for sample_number in range(HZ // FPS):
                time_s = self.now - 1 / FPS + sample_number / HZ
                self.choreography.add_gaze(time_s, at[0] + self.off[0], at[1] + self.off[1], self.confidence)
            self.choreography.add_markers(self.now, {number: at} if visible else {}, SIZE)
            self.now += 1 / FPS


def test_nine_targets_and_four_others_are_gone_through():
    choreography = GazeChoreography(build_screen_steps(9))
    wearer = Wearer(choreography)
    wearer.watch(60)
    assert choreography.is_finished
    fits, checks = choreography.get_pairs("fit"), choreography.get_pairs("check")
    assert [len(pairs) for pairs in fits] == [40] * 9
    assert [len(pairs) for pairs in checks] == [40] * 4
    assert not {pairs.name for pairs in fits} & {pairs.name for pairs in checks}
    for pairs in fits:
        assert np.allclose(pairs.gaze_px - pairs.target_px, wearer.off)
    assert all(len(pairs) > 150 for pairs in choreography.get_sample_pairs("check"))
    assert choreography.advise(wearer.now).hint == "done"


def test_progress_rises_with_instructions():
    choreography = GazeChoreography(build_screen_steps(5))
    wearer = Wearer(choreography)
    progress = []
    while (advice := choreography.advise(wearer.now)).done == 0:
        progress.append(advice.progress)
        wearer.watch(1 / FPS)
    assert progress == sorted(progress)
    assert progress[0] == 0
    assert progress[-1] > 0.9
    assert choreography.advise(wearer.now).total == 9


def test_the_saccade_to_a_target_does_not_count():
    choreography = GazeChoreography(build_screen_steps(5))
    wearer = Wearer(choreography, off=(400.0, 0.0))
    wearer.watch(0.5)  # still looking elsewhere
    wearer.off = (5.0, 5.0)
    wearer.watch(3.0)
    assert np.abs(choreography.get_pairs("fit")[0].gaze_px - choreography.get_pairs("fit")[0].target_px).max() < 10


@pytest.mark.parametrize(
    ("how", "hint"),
    [({"visible": False}, "does not see the marker"), ({"marker": 3}, "does not see the marker")],
)
def test_an_undetected_marker_is_reported_and_skipped_in_time(how, hint):
    choreography = GazeChoreography(build_screen_steps(5))
    wearer = Wearer(choreography)
    wearer.watch(1.0, **how)
    assert hint in choreography.advise(wearer.now).hint
    first = choreography.advise(wearer.now).step
    wearer.watch(TIMEOUT_S, **how)
    assert choreography.advise(wearer.now).step != first
    assert first in choreography.find_missed_steps()


def test_low_confidence_is_reported():
    choreography = GazeChoreography(build_screen_steps(5))
    wearer = Wearer(choreography, confidence=0.3)
    wearer.watch(3.0)
    assert "not sure" in choreography.advise(wearer.now).hint
    assert choreography.advise(wearer.now).progress == 0


def test_missing_gaze_is_reported():
    choreography = GazeChoreography(build_screen_steps(5))
    step = choreography.steps[0]
    for frame in range(60):
        choreography.add_markers(frame / 30, {step.marker: (500.0, 300.0)}, SIZE)
    assert "no gaze arrives" in choreography.advise(2.0).hint


def test_stopping_keeps_the_finished_targets():
    choreography = GazeChoreography(build_screen_steps(9))
    wearer = Wearer(choreography)
    while choreography.advise(wearer.now).done < 5:
        wearer.watch(1 / FPS)
    choreography.stop()
    assert choreography.advise(wearer.now).hint == "stopped"
    assert sum(pairs.is_usable for pairs in choreography.get_pairs("fit")) == 5


def test_a_target_can_be_repeated_and_skipped():
    choreography = GazeChoreography(build_screen_steps(5))
    wearer = Wearer(choreography)
    while choreography.advise(wearer.now).done < 2:
        wearer.watch(1 / FPS)
    second = choreography.steps[1]
    choreography.repeat()
    assert choreography.advise(wearer.now).step == second
    wearer.off = (1.0, 1.0)
    wearer.watch(3.0)
    again = next(pairs for pairs in choreography.get_pairs("fit") if pairs.name == second.name)
    assert np.allclose(again.gaze_px - again.target_px, 1.0)
    skipped = choreography.advise(wearer.now).step
    choreography.skip()
    assert choreography.advise(wearer.now).step != skipped


def test_unguided_targets_count_in_any_order():
    choreography = GazeChoreography(build_screen_steps(9), is_guided=False)
    wearer = Wearer(choreography)
    for marker in (22, 3, 0, 99):
        wearer.watch(2.6, where=(300.0, 200.0), marker=marker)
    done = {step.marker for step in choreography.steps if step not in choreography.find_missed_steps()}
    assert done == {22, 3, 0}


def test_the_head_moves_one_marker_through_the_picture():
    choreography = GazeChoreography(build_moving_steps())
    wearer = Wearer(choreography)
    wearer.watch(1.0, where=(250.0, 40.0), marker=MOVING_MARKER)  # between two places
    assert "turn your head" in choreography.advise(wearer.now).hint
    assert not choreography.get_pairs("fit")
    wearer.watch(60)
    assert choreography.is_finished
    assert len(choreography.get_pairs("fit")) == 9
    assert len(choreography.get_pairs("check")) == 4


def test_fixating_a_point_and_pressing_a_key():
    choreography = GazeChoreography(())
    for at, role in (((100, 100), "fit"), ((800, 120), "fit"), ((450, 500), "check")):
        start = 10.0 + at[0]
        for time_s in np.arange(start - 1, start, 0.005):
            choreography.add_gaze(float(time_s), at[0] + 9, at[1] - 4, 0.95)
        choreography.add_point(start, *map(float, at), role)
    assert [pairs.name for pairs in choreography.get_pairs("fit")] == ["point 1", "point 2"]
    assert np.allclose(
        choreography.get_pairs("check")[0].gaze_px - choreography.get_pairs("check")[0].target_px, (9, -4)
    )
    blind = choreography.add_point(2000.0, 5.0, 5.0, "fit")
    assert blind in choreography.find_missed_steps()
    choreography.repeat(blind)
    assert blind not in choreography.steps
