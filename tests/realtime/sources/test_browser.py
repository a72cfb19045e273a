"""Frames and gaze of a page: decoded on another thread, newest first, and hostile ones counted."""

import threading

import cv2
import numpy as np
import pytest

from realtime.infra.clock import now_ns
from realtime.session.inputs import open_frames, open_gaze
from realtime.sources import browser
from realtime.sources.browser import BrowserFrame, BrowserFrames, BrowserGaze
from realtime.types import FrameSource, GazeSample, GazeSource
from tests.realtime.waiting import eventually, find_threads


def jpeg(width=64, height=48, value=90):
    return cv2.imencode(".jpg", np.full((height, width, 3), value, np.uint8))[1].tobytes()


def shot(data, index=0):
    return BrowserFrame(data, index, index / 30, now_ns(), now_ns())


@pytest.fixture
def frames():
    source = BrowserFrames()
    yield source
    source.stop()


def test_they_are_sources_and_open_by_name():
    assert isinstance(open_frames("browser:"), BrowserFrames | FrameSource)
    assert isinstance(open_gaze("browser:"), BrowserGaze | GazeSource)


def test_a_frame_is_decoded_and_keeps_its_index_and_times(frames):
    got = []
    frames.start(got.append)
    assert frames.status().state == "idle"
    sent = shot(jpeg(), 7)
    frames.offer(sent)
    eventually(lambda: got, "a frame")
    assert (got[0].index, got[0].timestamp, got[0].captured_ns) == (7, sent.timestamp, sent.captured_ns)
    assert got[0].size == (64, 48)
    assert abs(int(got[0].image.mean()) - 90) < 3
    assert frames.status().state == "running"
    frames.disconnect()
    assert "start its camera" in frames.status().reason


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "no jpeg"),
        (b"\x89PNG not a jpeg", "no jpeg"),
        (jpeg()[:-40], "undecodable"),  # cut off
        (jpeg().replace(b"\x00\x30\x00\x40", b"\xff\xff\xff\xff", 1), "size"),  # its header has 65535 x 65535
    ],
)
def test_an_invalid_jpeg_is_counted_and_the_next_frame_is_decoded(frames, data, why):
    got = []
    frames.start(got.append)
    frames.offer(shot(data))
    eventually(lambda: frames.status().dropped.get(why) == 1, why)
    frames.offer(shot(jpeg()))
    eventually(lambda: got, "the next frame")


def test_a_slow_reader_gets_the_newest_and_the_rest_is_counted(frames):
    hold, got = threading.Event(), []

    def read(frame):
        got.append(frame.index)
        hold.wait(60)

    frames.start(read)
    frames.offer(shot(jpeg(), 0))
    eventually(lambda: got == [0], "the first frame")
    for index in range(1, 6):
        frames.offer(shot(jpeg(), index))
    hold.set()
    eventually(lambda: got[-1] == 5, "the newest frame")
    assert got == [0, 5]
    assert frames.status().dropped["superseded"] == 4


def test_stop_ends_the_thread(frames):
    before = find_threads()
    frames.start(lambda frame: None)
    frames.stop()
    frames.stop()
    eventually(lambda: find_threads() <= before, "the end of the thread")


def test_gaze_samples_are_passed_on_between_start_and_stop():
    gaze, got = BrowserGaze(), []
    sample = GazeSample(0.5, 0.5, "norm", 1.0, 1.0, 1, 1)
    gaze.offer(sample)
    assert gaze.status().state == "idle"
    gaze.start(got.append)
    gaze.offer(sample)
    assert got == [sample]
    assert (gaze.status().state, gaze.status().received) == ("running", 1)
    gaze.offer(GazeSample(0.5, 0.5, "norm", 0.0, 1.1, 2, 2))  # the pointer has left the picture
    assert gaze.status().state == "idle"
    got.pop()
    gaze.stop()
    gaze.offer(sample)
    assert len(got) == 1


def test_a_page_whose_last_frame_came_at_time_0_is_silent_later(frames, monkeypatch):
    got, clock_ns = [], [0]
    monkeypatch.setattr(browser, "now_ns", lambda: clock_ns[0])
    frames.start(got.append)
    frames.offer(BrowserFrame(jpeg(), 0, 0.0, 0, 0))
    eventually(lambda: got, "a frame")
    assert frames.status().state == "running"
    clock_ns[0] = browser.SILENCE_NS + 1
    assert frames.status().state == "waiting"
