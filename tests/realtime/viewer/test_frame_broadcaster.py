"""One picture in flight per viewer, always the newest, and nobody waits for anybody."""

import json
import threading

import numpy as np
import pytest

from realtime.infra.clock import now_ns
from realtime.pipeline.observers import FrameResult
from realtime.types import Frame, GazeSample
from realtime.viewer.frame_broadcaster import FrameBroadcaster, FrameRequest
from tests.realtime.viewer.test_contours import disc, message
from tests.realtime.waiting import eventually, quick

NOW_NS = 10**12


def shown(index=0, what="mask"):
    image = np.full((120, 160, 3), 90, np.uint8)
    return FrameResult(Frame(image, index, index / 30, now_ns(), now_ns()), message(disc()) if what == "mask" else None)


def head(data):
    length = int.from_bytes(data[:4], "little")
    return json.loads(data[4 : 4 + length])


@pytest.fixture
def hub():
    one = FrameBroadcaster(80, lambda: NOW_NS)
    one.start()
    yield one
    one.stop()


class Viewer:
    def __init__(self, hub, order, acks=True):
        self.hub, self.acks, self.got = hub, acks, []
        self.seat = hub.connect(order, self.take)

    def take(self, seq, data):
        self.got.append((seq, data))
        if self.acks:
            self.hub.acknowledge(self.seat, seq)


def test_a_viewer_gets_the_newest_and_nothing_more_before_it_says_so(hub):
    hub.publish(shown(0))
    viewer = Viewer(hub, FrameRequest("masks"), acks=False)
    eventually(lambda: len(viewer.got) == 1, "a picture")
    for index in range(1, 6):
        hub.publish(shown(index))
    other = Viewer(hub, FrameRequest("masks"))
    eventually(lambda: other.got and head(other.got[-1][1])["frame"]["index"] == 5, "the newest for the other")
    assert len(viewer.got) == 1
    hub.acknowledge(viewer.seat, viewer.got[0][0])
    eventually(lambda: len(viewer.got) == 2, "the next picture")
    assert head(viewer.got[1][1])["frame"]["index"] == 5
    assert hub.drop_counts()["skipped"] == 4


def test_a_large_display_keeps_no_page_waiting(hub, monkeypatch):
    drawing, go_on = threading.Event(), threading.Event()

    def slow(*what):
        drawing.set()
        assert go_on.wait(30)
        return np.zeros((8, 8, 3), np.uint8)

    monkeypatch.setattr("realtime.viewer.frame_broadcaster.draw_edges", slow)
    display = Viewer(hub, FrameRequest("edges", size=(8192, 8192)))
    hub.publish(shown(0))
    eventually(drawing.is_set, "the display's picture to be drawn")
    page = Viewer(hub, FrameRequest("masks"))
    for index in range(1, 4):
        hub.publish(shown(index))
        eventually(lambda: page.got and head(page.got[-1][1])["frame"]["index"] == index, "a picture for the page")  # noqa: B023
    assert not display.got
    go_on.set()
    eventually(lambda: display.got, "the display's picture")


def test_an_ack_of_something_else_is_nobodys(hub):
    viewer = Viewer(hub, FrameRequest("masks"), acks=False)
    hub.publish(shown(0))
    eventually(lambda: len(viewer.got) == 1, "a picture")
    for seq in (0, 2, 99):
        hub.acknowledge(viewer.seat, seq)
    hub.publish(shown(1))
    watcher = Viewer(hub, FrameRequest("masks"))
    eventually(lambda: watcher.got, "a picture for another")
    assert len(viewer.got) == 1


def test_each_kind_is_what_it_says(hub):
    hub.publish(shown(3))
    viewers = {what: Viewer(hub, FrameRequest(what)) for what in ("masks", "frames", "edges", "overlay")}
    for what, viewer in viewers.items():
        eventually(lambda v=viewer: v.got, what)
    assert viewers["edges"].got[0][1][:2] == viewers["overlay"].got[0][1][:2] == b"\xff\xd8"
    masks, frames = viewers["masks"].got[0][1], viewers["frames"].got[0][1]
    assert frames[-2:] == b"\xff\xd9"
    told = head(masks)
    assert (told["frame"]["width"], told["frame"]["height"]) == (160, 120)
    assert told["target"]["state"] == "locked"
    assert told["target"]["gaze"] == [80, 60, 5]
    assert sum(told["outline"]) > 20


def test_a_frame_without_a_mask_is_shown_too(hub):
    hub.publish(shown(0, None))
    viewer = Viewer(hub, FrameRequest("masks"))
    eventually(lambda: viewer.got, "a picture")
    assert head(viewer.got[0][1])["target"] is None


def test_what_cannot_be_made_is_counted_and_the_next_comes(hub):
    viewer = Viewer(hub, FrameRequest("frames"))
    broken = shown(0)
    hub.publish(FrameResult(Frame(np.zeros((0, 0, 3), np.uint8), 0, 0.0, 1, 1), broken.result))
    eventually(lambda: hub.drop_counts()["failed"] >= 1, "a failure")
    hub.publish(shown(1))
    eventually(lambda: viewer.got, "the next picture")


def test_the_trail_is_short_recent_and_leaves_out_closed_eyes(hub):
    for number in range(200):
        at = NOW_NS - (200 - number) * 2_000_000
        hub.add_gaze(GazeSample(number / 200, 0.5, "norm", 0.0 if number == 199 else 1.0, at / 1e9, at, at))
    hub.publish(shown(0))
    viewer = Viewer(hub, FrameRequest("masks"))
    eventually(lambda: viewer.got, "a picture")
    looks = head(viewer.got[0][1])["gaze_trail"]
    assert 5 < len(looks) <= 24
    assert looks[-1][:2] == [pytest.approx(198 / 200 * 160, abs=0.1), 60]
    assert [look[2] for look in looks] == sorted((look[2] for look in looks), reverse=True)


def test_no_point_is_shown_of_eyes_that_have_gone(hub):
    at = NOW_NS - 400_000_000
    hub.add_gaze(GazeSample(0.5, 0.5, "norm", 1.0, at / 1e9, at, at))
    hub.publish(shown(0))
    viewer = Viewer(hub, FrameRequest("masks"))
    eventually(lambda: viewer.got, "a picture")
    assert head(viewer.got[0][1])["gaze_trail"] == []


def test_put_returns_at_once_whatever_the_viewers_do(hub):
    slow = threading.Event()
    hub.connect(FrameRequest("masks"), lambda seq, data: slow.wait(5))
    hub.publish(shown(0))
    with quick(0.5):
        for index in range(1, 50):
            hub.publish(shown(index))
    slow.set()


def test_stop_joins():
    hub = FrameBroadcaster(80, now_ns)
    hub.start()
    hub.stop()
    assert not any(thread.name.startswith("gazecast-frame-broadcaster") for thread in threading.enumerate())
