"""Tests that each viewer has one frame in flight, the newest, and that no viewer waits for another."""

import json
import threading

import numpy as np
import pytest

from realtime.infra.clock import now_ns
from realtime.pipeline.observers import FrameResult
from realtime.types import Frame, GazeSample
from realtime.viewer.frame_broadcaster import FrameBroadcaster, FrameRequest
from tests.realtime.viewer.test_contours import disc, message
from tests.realtime.waiting import eventually, find_threads, promptly

NOW_NS = 10**12


def frame_result(index=0, has_mask=True):
    image = np.full((120, 160, 3), 90, np.uint8)
    return FrameResult(Frame(image, index, index / 30, now_ns(), now_ns()), message(disc()) if has_mask else None)


def read_header(data):
    length = int.from_bytes(data[:4], "little")
    return json.loads(data[4 : 4 + length])


@pytest.fixture
def broadcaster():
    one = FrameBroadcaster(80, lambda: NOW_NS)
    one.start()
    yield one
    one.stop()


class Viewer:
    def __init__(self, broadcaster, request, acks=True):
        self.broadcaster, self.acks, self.received = broadcaster, acks, []
        self.client = broadcaster.connect(request, self.on_frame)

    def on_frame(self, seq, data):
        self.received.append((seq, data))
        if self.acks:
            self.broadcaster.acknowledge(self.client, seq)

    def newest_index(self):
        return read_header(self.received[-1][1])["frame"]["index"] if self.received else None


def test_a_viewer_receives_the_newest_frame_after_each_acknowledgement(broadcaster):
    broadcaster.publish(frame_result(0))
    viewer = Viewer(broadcaster, FrameRequest("masks"), acks=False)
    eventually(lambda: len(viewer.received) == 1, "a frame")
    for index in range(1, 6):
        broadcaster.publish(frame_result(index))
    other = Viewer(broadcaster, FrameRequest("masks"))
    eventually(lambda: other.newest_index() == 5, "the newest for the other")
    assert len(viewer.received) == 1
    broadcaster.acknowledge(viewer.client, viewer.received[0][0])
    eventually(lambda: len(viewer.received) == 2, "the next frame")
    assert read_header(viewer.received[1][1])["frame"]["index"] == 5
    assert broadcaster.drop_counts()["skipped"] == 4


def test_a_large_display_does_not_delay_a_page(broadcaster, monkeypatch):
    drawing, resume = threading.Event(), threading.Event()

    def slow(*args):
        drawing.set()
        assert resume.wait(60)
        return np.zeros((8, 8, 3), np.uint8)

    monkeypatch.setattr("realtime.viewer.frame_broadcaster.draw_edges", slow)
    display = Viewer(broadcaster, FrameRequest("edges", size=(8192, 8192)))
    broadcaster.publish(frame_result(0))
    eventually(drawing.is_set, "the display's frame to be drawn")
    page = Viewer(broadcaster, FrameRequest("masks"))
    for index in range(1, 4):
        broadcaster.publish(frame_result(index))
        eventually(lambda: page.newest_index() == index, "a frame for the page")  # noqa: B023
    assert not display.received
    resume.set()
    eventually(lambda: display.received, "the display's frame")


def test_an_acknowledgement_of_another_frame_is_ignored(broadcaster):
    viewer = Viewer(broadcaster, FrameRequest("masks"), acks=False)
    broadcaster.publish(frame_result(0))
    eventually(lambda: len(viewer.received) == 1, "a frame")
    for seq in (0, 2, 99):
        broadcaster.acknowledge(viewer.client, seq)
    broadcaster.publish(frame_result(1))
    watcher = Viewer(broadcaster, FrameRequest("masks"))
    eventually(lambda: watcher.received, "a frame for another")
    assert len(viewer.received) == 1


def test_each_kind_of_frame_has_its_format(broadcaster):
    broadcaster.publish(frame_result(3))
    viewers = {kind: Viewer(broadcaster, FrameRequest(kind)) for kind in ("masks", "frames", "edges", "overlay")}
    for kind, viewer in viewers.items():
        eventually(lambda v=viewer: v.received, kind)
    assert viewers["edges"].received[0][1][:2] == viewers["overlay"].received[0][1][:2] == b"\xff\xd8"
    masks, frames = viewers["masks"].received[0][1], viewers["frames"].received[0][1]
    assert frames[-2:] == b"\xff\xd9"
    header = read_header(masks)
    assert (header["frame"]["width"], header["frame"]["height"]) == (160, 120)
    assert header["target"]["state"] == "locked"
    assert header["target"]["gaze"] == [80, 60, 5]
    assert sum(header["outline"]) > 20


def test_a_frame_without_a_mask_is_sent(broadcaster):
    broadcaster.publish(frame_result(0, has_mask=False))
    viewer = Viewer(broadcaster, FrameRequest("masks"))
    eventually(lambda: viewer.received, "a frame")
    assert read_header(viewer.received[0][1])["target"] is None


def test_a_frame_that_cannot_be_encoded_is_counted_and_the_next_is_sent(broadcaster):
    viewer = Viewer(broadcaster, FrameRequest("frames"))
    broken = frame_result(0)
    broadcaster.publish(FrameResult(Frame(np.zeros((0, 0, 3), np.uint8), 0, 0.0, 1, 1), broken.result))
    eventually(lambda: broadcaster.drop_counts()["failed"] >= 1, "a failure")
    broadcaster.publish(frame_result(1))
    eventually(lambda: viewer.received, "the next frame")


def test_the_gaze_trail_is_short_recent_and_without_closed_eyes(broadcaster):
    for number in range(200):
        at = NOW_NS - (200 - number) * 2_000_000
        broadcaster.add_gaze(GazeSample(number / 200, 0.5, "norm", 0.0 if number == 199 else 1.0, at / 1e9, at, at))
    broadcaster.publish(frame_result(0))
    viewer = Viewer(broadcaster, FrameRequest("masks"))
    eventually(lambda: viewer.received, "a frame")
    trail = read_header(viewer.received[0][1])["gaze_trail"]
    assert 5 < len(trail) <= 24
    assert trail[-1][:2] == [pytest.approx(198 / 200 * 160, abs=0.1), 60]
    assert [age for _, _, age in trail] == sorted((age for _, _, age in trail), reverse=True)


def test_old_gaze_is_not_sent(broadcaster):
    at = NOW_NS - 400_000_000
    broadcaster.add_gaze(GazeSample(0.5, 0.5, "norm", 1.0, at / 1e9, at, at))
    broadcaster.publish(frame_result(0))
    viewer = Viewer(broadcaster, FrameRequest("masks"))
    eventually(lambda: viewer.received, "a frame")
    assert read_header(viewer.received[0][1])["gaze_trail"] == []


def test_publish_does_not_wait_for_a_slow_viewer(broadcaster):
    begun, resume = threading.Event(), threading.Event()

    def slow(seq, data):
        begun.set()
        resume.wait(600)

    broadcaster.connect(FrameRequest("masks"), slow)
    try:
        broadcaster.publish(frame_result(0))
        assert begun.wait(60)
        with promptly():
            for index in range(1, 50):
                broadcaster.publish(frame_result(index))
    finally:
        resume.set()


def test_stop_ends_the_threads():
    before = find_threads()
    broadcaster = FrameBroadcaster(80, now_ns)
    broadcaster.start()
    broadcaster.stop()
    eventually(lambda: find_threads() <= before, "the end of all threads")
