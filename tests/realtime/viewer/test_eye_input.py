"""Tests which page's person is tracked by webcam, and that other pages are refused and counted."""

from __future__ import annotations

from collections import Counter

import pytest

from realtime.sources.browser import BrowserFrame, BrowserFrames
from realtime.sources.webcam_gaze.screen_layout import ScreenLayout
from realtime.viewer.eye_input import EyeInput
from realtime.viewer.page_client import PageClient
from realtime.viewer.page_messages import PageFrame, ScreenChange

CHANGE = ScreenChange((1600, 1000), (0.0, 0.0, 1600.0, 1000.0), (0.0, 0.0, 800.0, 600.0), 640)
LAYOUT = ScreenLayout((1600, 1000), (0.0, 0.0, 1600.0, 1000.0), (0.0, 0.0, 800.0, 600.0), 640)


class LoggedFrames(BrowserFrames):
    def __init__(self) -> None:
        super().__init__("start it")
        self.offered: list[BrowserFrame] = []

    def offer(self, frame: BrowserFrame) -> None:
        self.offered.append(frame)


class LoggedWebcam:
    """Notes what a page has caused."""

    def __init__(self, camera: object) -> None:
        self.camera, self.layout, self.calls = camera, None, []

    def set_layout(self, layout: ScreenLayout | None) -> None:
        self.layout = layout

    def start_calibration(self) -> None:
        self.calls.append("start")

    def correct_drift(self, x: float, y: float, now_ns: int) -> None:
        self.calls.append((x, y, now_ns))

    def cancel_calibration(self) -> None:
        self.calls.append("cancel")


@pytest.fixture
def pages():
    return PageClient(lambda text: None), PageClient(lambda text: None)


def test_the_page_that_started_its_camera_last_is_the_one(pages):
    one, other = pages
    webcam, dropped = LoggedWebcam(LoggedFrames()), Counter()
    eyes = EyeInput(webcam, dropped)
    for page in pages:
        eyes.change_screen(page, CHANGE)
    assert webcam.layout is None
    eyes.change_camera(one, True)
    assert webcam.layout == LAYOUT
    eyes.add_frame(one, PageFrame(3, 1000.0, b"jpeg", eyes=True), 7)
    assert [(frame.index, frame.jpeg) for frame in webcam.camera.offered] == [(3, b"jpeg")]
    eyes.change_camera(other, True)
    eyes.add_frame(one, PageFrame(4, 1000.0, b"jpeg", eyes=True), 8)
    eyes.change_calibration(one, True)
    eyes.change_camera(one, False)
    assert (len(webcam.camera.offered), webcam.calls, dropped["not the eyes"]) == (1, [], 2)
    eyes.change_calibration(other, True)
    eyes.change_calibration(other, False)
    eyes.add_click(one, 1.0, 2.0, 3)
    eyes.add_click(other, 4.0, 5.0, 6)
    assert webcam.calls == ["start", "cancel", (4.0, 5.0, 6)]
    eyes.disconnect(other)
    assert webcam.layout is None


def test_with_a_camera_of_this_machine_it_is_the_page_used_last(pages):
    one, other = pages
    webcam, dropped = LoggedWebcam(object()), Counter()
    eyes = EyeInput(webcam, dropped)
    eyes.change_screen(one, CHANGE)
    assert webcam.layout == LAYOUT
    eyes.change_screen(other, CHANGE)
    eyes.disconnect(one)
    assert webcam.layout == LAYOUT
    eyes.change_camera(one, True)
    eyes.add_frame(other, PageFrame(0, 1.0, b"jpeg", eyes=True), 1)
    assert dropped["not the eyes"] == 2
    eyes.disconnect(other)
    assert webcam.layout is None


def test_without_gaze_by_webcam_all_is_refused(pages):
    dropped = Counter()
    eyes = EyeInput(None, dropped)
    eyes.change_screen(pages[0], CHANGE)
    eyes.change_camera(pages[0], True)
    eyes.change_calibration(pages[0], True)
    eyes.add_frame(pages[0], PageFrame(0, 1.0, b"jpeg", eyes=True), 1)
    eyes.add_click(pages[0], 1.0, 2.0, 3)
    eyes.disconnect(pages[0])
    assert dropped["not the eyes"] == 5
