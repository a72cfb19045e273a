"""A choreography runs from the screen to the calibration, without a camera."""

from __future__ import annotations

import functools

import cv2
import numpy as np
import pytest

from calibration.gaze.calibrated import calibrate_gaze
from calibration.gaze.choreography import GazeChoreography, build_screen_steps
from calibration.gaze.markers import find_marker_centres
from calibration.gaze.view import FlatView
from realtime.commands.calibrate import choreography_run
from realtime.commands.calibrate.choreography_run import ChoreographyRun, HeadlessDisplay, OperatorAction
from realtime.commands.calibrate.target_window import draw_screen, round_progress
from realtime.errors import RunFailed
from realtime.infra.progress import ProgressReporter
from realtime.types import Frame, GazeSample

FPS = 30
SIZE = (640, 360)


@functools.lru_cache(maxsize=4)
def scale_screen(advice):
    """Return the screen as the camera sees it."""
    return cv2.resize(draw_screen(advice), SIZE, interpolation=cv2.INTER_AREA)


class MirrorDisplay:
    """A display that keeps its image; `keys` are {number of the frame: pressed key}."""

    def __init__(self, keys=()):
        self.image, self.advice, self.keys, self.frame = None, None, dict(keys), 0

    def show(self, advice, frame):
        self.advice = advice
        self.image = scale_screen(round_progress(advice))
        self.frame += 1
        return [self.keys.pop(self.frame)] if self.frame in self.keys else []

    def close(self):
        pass


def play_screen(run, display, seconds, off=(20.0, -12.0)):
    """Send frames that show the screen, and gaze samples at its marker plus `off`; return the seconds it took."""
    for number in range(round(seconds * FPS)):
        if run.is_over:
            return number / FPS
        at_ns = round((5 + number / FPS) * 1e9)
        image = display.image if display.image is not None else np.full((SIZE[1], SIZE[0], 3), 200, np.uint8)
        markers = find_marker_centres(image)
        for _, (x, y) in markers.items():
            for part in range(4):
                t_ns = at_ns - round(part / (4 * FPS) * 1e9)
                run.gaze_queue.put(GazeSample(x + off[0], y + off[1], "px", 0.95, t_ns / 1e9, t_ns, t_ns))
        run.step(Frame(image, number, at_ns / 1e9, at_ns, at_ns), on_clip_time=True)
    return seconds


def test_all_targets_are_fixated_and_the_bias_is_found():
    choreography, display = GazeChoreography(build_screen_steps(5)), MirrorDisplay()
    run = ChoreographyRun(choreography, display)
    took_s = play_screen(run, display, 60)
    assert run.is_over
    assert took_s < 25  # nine targets
    made, _, targets = calibrate_gaze(choreography.get_pairs("fit"), FlatView(SIZE))
    assert len(targets.names) == 5
    at = made.apply(np.array([[320.0, 180.0]])).px[0]
    assert at == pytest.approx((300.0, 192.0), abs=1.0)


def test_keys_repeat_skip_and_leave():
    keys = {100: "repeat", 200: "skip", 300: "leave"}
    choreography, display = GazeChoreography(build_screen_steps(9)), MirrorDisplay(keys)
    run = ChoreographyRun(choreography, display)
    took_s = play_screen(run, display, 60)
    assert took_s == pytest.approx(10, abs=0.2)
    assert run.is_over
    assert not display.keys
    assert 1 <= sum(pairs.is_usable for pairs in choreography.get_pairs("fit")) <= 4


def test_frames_of_another_size_end_the_run():
    run = ChoreographyRun(GazeChoreography(build_screen_steps(5)), MirrorDisplay())
    run.step(Frame(np.zeros((360, 640, 3), np.uint8), 0, 0.0, 1, 1), on_clip_time=True)
    with pytest.raises(RunFailed, match="calibrate one resolution"):
        run.step(Frame(np.zeros((480, 640, 3), np.uint8), 1, 0.1, 2, 2), on_clip_time=True)


def test_without_a_window_presses_are_returned_at_their_time():
    display = HeadlessDisplay(
        ProgressReporter(), (OperatorAction(2.0, 5.0, 6.0, "fit"), OperatorAction(1.0, 3.0, 4.0, "check"))
    )
    advice = GazeChoreography(()).advise(0.0)

    def at(seconds):
        return display.show(advice, Frame(np.zeros((2, 2, 3), np.uint8), 0, seconds, 0, 0))

    assert at(0.5) == []
    assert [press.role for press in at(1.2)] == ["check"]
    assert [press.role for press in at(9.0)] == ["fit"]
    assert display.show(advice, None) == []


class RecordingProgress(ProgressReporter):
    """Keeps the lines."""

    def __init__(self):
        self.lines = []

    def show_line(self, text):
        self.lines.append(text)


def test_without_a_window_a_persistent_hint_is_printed_once():
    progress, clock = RecordingProgress(), [0]
    display, choreography = (
        HeadlessDisplay(progress, clock_ns=lambda: clock[0]),
        GazeChoreography(build_screen_steps(5), is_guided=False),
    )
    for _ in range(100):
        clock[0] += 100_000_000
        display.show(choreography.advise(clock[0] / 1e9), None)
    assert len(progress.lines) == 1
    assert "none of the markers that are still wanted" in progress.lines[0]


def test_a_source_without_frames_is_reported(monkeypatch):
    display, now = MirrorDisplay(), [0]
    monkeypatch.setattr(choreography_run, "now_ns", lambda: now[0])
    run = ChoreographyRun(GazeChoreography(build_screen_steps(5), is_guided=False), display)
    image = np.zeros((SIZE[1], SIZE[0], 3), np.uint8)
    run.step(None, on_clip_time=False, waiting="no answer from host:1")
    assert "no pictures" not in display.advice.hint
    now[0] += 2_000_000_000
    run.step(None, on_clip_time=False, waiting="no answer from host:1")
    assert display.advice.hint == "no pictures come: no answer from host:1"
    run.step(Frame(image, 0, 2.0, now[0], now[0]), on_clip_time=False, waiting="no answer from host:1")
    assert "no pictures" not in display.advice.hint
