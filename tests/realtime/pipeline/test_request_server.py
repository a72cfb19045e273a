"""A robot asks a run over a real socket: fake engine, a device in software."""

import threading
from contextlib import suppress

import msgpack
import numpy as np
import pytest

import realtime.pipeline.request_handler as handler_module
import realtime.session.own_engine as engine_module
from realtime import MaskSubscriber, Requester
from realtime.comms.request_client import SetWord
from realtime.comms.requests import pack_request, read_reply
from realtime.comms.sockets.request_reply import RequestSocket
from realtime.config.schema import load_config
from realtime.errors import WireError
from realtime.infra.clock import now_ns
from realtime.pipeline.control import CommandQueue
from realtime.pipeline.request_server import RequestServer
from realtime.pipeline.words import WordQueue
from realtime.session.run import run
from realtime.simulation.device import SimulatedTracker
from realtime.types import FoundWord
from tests.realtime import scene
from tests.realtime.disc_recognizer import DiscRecognizer
from tests.realtime.kept_view import KeptView
from tests.realtime.waiting import eventually


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    """A run that answers: (where its masks are, where it answers)."""
    clip = scene.write_clip(tmp_path_factory.mktemp("scene"), 96)
    device = SimulatedTracker(clip[0], clip[1], port=0, blink_every_s=0)
    device.start()
    config = load_config(None, {
        "source": f"pupil://127.0.0.1:{device.port}", "engine": {"backend": "fake"},
        "publish": {"endpoint": "tcp://127.0.0.1:0"}, "requests": "tcp://127.0.0.1:0",
    })  # fmt: skip
    stop, view = threading.Event(), KeptView()
    thread = threading.Thread(target=run, args=(config, view), kwargs={"stop": stop})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine_module, "open_word_recognizer", lambda *_: DiscRecognizer())
        thread.start()
        try:
            eventually(lambda: view.endpoint, "the run")
            yield view.endpoint, next(line for line in view.lines if "answering" in line).split()[-1]
        finally:
            stop.set()
            thread.join(60)
            device.stop()


@pytest.fixture
def robot(running):
    """Something is looked at, and it may ask."""
    with Requester(running[1], timeout_s=60) as robot:
        robot.release()
        eventually(lambda: (s := robot.status())["object"] and s["state"] in ("preview", "locked"), "a look")
        yield robot


def test_the_fixated_object_is_held_and_released(robot, running):
    with MaskSubscriber(running[0]) as subscriber:

        def is_held():
            with suppress(WireError):  # where the clip begins anew, the object is lost for a moment
                object_id = robot.hold()
                first = subscriber.newest(timeout_s=1)
                seen = [first, *(subscriber.newest() for _ in range(10))]
                is_same = {(m.object, m.state) for m in seen if m} == {(object_id, "held")}
                return is_same and robot.hold(object_id) == object_id and robot.status()["held"]
            return False

        eventually(is_held, "it to be held")
        with pytest.raises(WireError, match="object 9999 is not on show"):
            robot.hold(9999)
        robot.release()
        eventually(lambda: (m := subscriber.newest()) is not None and m.state in ("preview", "locked"), "eyes")
    assert not robot.status()["held"]


def test_the_fixated_object_is_confirmed(robot, running):
    begun_ns, found = now_ns(), []
    with MaskSubscriber(running[0]) as subscriber:

        def is_confirmed():
            with suppress(WireError):  # where the clip begins anew, the object is lost for a moment
                robot.confirm(robot.hold())
            found.append(subscriber.newest(timeout_s=1))
            return found[-1] is not None and found[-1].confirmed is not None

        eventually(is_confirmed, "a confirmed mask")
    assert (found[-1].confirmed.by, found[-1].confirmed.number >= 1) == ("request", True)
    assert begun_ns < found[-1].confirmed.at_ns < now_ns()
    with pytest.raises(WireError, match="object 9999 is not on show"):
        robot.confirm(9999)


def test_the_fixated_object_is_corrected_and_that_is_taken_back(robot, running):
    found = []
    with MaskSubscriber(running[0]) as subscriber:

        def is_corrected():
            message = subscriber.newest(timeout_s=1)
            if message is None or message.mask is None:
                return False
            rows, columns = np.nonzero(message.mask)
            with suppress(WireError):  # where the clip begins anew, the object is lost for a moment
                robot.correct([(columns.mean(), rows.mean()), (2, 2)], [1, 0], frame_index=message.frame.index)
            found.append(subscriber.newest(timeout_s=1))
            return found[-1] is not None and found[-1].corrected is not None

        eventually(is_corrected, "a corrected mask")
        assert [label for *_, label in found[-1].corrected.clicks][:2] == [1, 0]

        def is_undone():
            with suppress(WireError):
                robot.undo_correction(is_all=True)
            message = subscriber.newest(timeout_s=1)
            return message is not None and (message.corrected is None or not message.corrected.clicks)

        eventually(is_undone, "a mask without clicks")
    with pytest.raises(WireError, match="object 9999 is not on show"):
        robot.correct([(5, 5)], object_id=9999)


def test_a_word_is_searched_for_until_it_is_cleared(robot, running):
    assert robot.set_word("The balls") == SetWord("The balls", True, ())
    with MaskSubscriber(running[0]) as subscriber:
        found = {"text": "The balls", "known": True, "found": True}
        eventually(lambda: robot.status()["word"] == found, "the ball")
        eventually(lambda: (m := subscriber.newest()) is not None and m.word and m.word.score > 0.5, "its mask")
        assert robot.set_word("ball pen").near == ("ball",)
        eventually(lambda: (m := subscriber.newest()) is not None and m.word == FoundWord("ball pen", 0.0), "it")
        assert robot.set_word("").text == ""
        eventually(lambda: robot.status()["word"] is None, "no word")
        eventually(lambda: (m := subscriber.newest()) is not None and m.mask is not None and m.word is None, "none")


def test_a_word_ends_after_its_seconds(robot):
    robot.set_word("ball", seconds=0.2)
    eventually(lambda: robot.status()["word"] is None, "its end")


def test_a_snapshot_has_every_pixel_and_its_mask(robot):
    picture = robot.snapshot()
    assert picture.image.shape == (scene.SIZE[1], scene.SIZE[0], 3)
    truth = scene.truth(picture.frame.index % 96)
    assert scene.iou(picture.mask, truth) > 0.7
    assert np.abs(picture.image[truth].mean(0) - (30, 30, 195)).max() < 12


def test_published_masks_of_an_object_are_returned(robot):
    object_id = robot.status()["object"]
    eventually(lambda: len(robot.history(object_id)) > 3, "four masks of it")
    masks = robot.history(object_id, 30)
    assert {mask.object for mask in masks} == {object_id}
    assert [mask.seq for mask in masks] == sorted(mask.seq for mask in masks)
    with pytest.raises(WireError, match="object 999 was not published in the last 5 s"):
        robot.history(999)


def segment_on_keyframe(robot, prompt_at):
    """Segment the disc where it is on the newest keyframe; again if that was replaced meanwhile."""
    found = []

    def is_of_that_keyframe():
        index = robot.status()["keyframe"]["index"]
        found.append(robot.segment(**prompt_at(*scene.centre(index % 96))))
        return found[-1].frame.index == index

    eventually(is_of_that_keyframe, "an answer for that keyframe")
    assert scene.iou(found[-1].mask, scene.truth(found[-1].frame.index % 96)) > 0.7
    return found[-1]


def test_an_object_at_a_point_or_in_a_box_has_the_streams_id(robot):
    """The disc that is looked at is already known to the stream."""
    seen = []

    def is_one_object():
        """Where the clip begins anew while it is asked, the object is another one."""
        before = robot.status()["object"]
        seen.append(segment_on_keyframe(robot, lambda x, y: {"points": [(x, y)]}))
        return robot.status()["object"] == before == seen[-1].object

    eventually(is_one_object, "the object of the stream")
    found = seen[-1]
    segment_on_keyframe(robot, lambda x, y: {"box": np.array([x - 45, y - 45, x + 45, y + 45])})
    x0, y0, x1, y1 = found.box
    assert found.mask[y0:y1, x0:x1].sum() == found.mask.sum()


def test_all_objects_are_segmented_while_the_stream_continues(robot, running):
    with MaskSubscriber(running[0]) as subscriber:
        before = subscriber.newest(timeout_s=60)
        objects = robot.everything(points_per_side=6)
        after = subscriber.newest(timeout_s=60)
    assert after.seq > before.seq
    assert max(scene.iou(each.mask, scene.truth(each.frame.index % 96)) for each in objects) > 0.7
    ids = [each.object for each in objects if each.object is not None]
    assert len(ids) == len(set(ids)) > 0


def test_nonsense_is_answered_and_the_next_request_too(running, robot):
    raw = RequestSocket(running[1], timeout_s=60)
    for payload in (
        b"",
        b"\xff",
        msgpack.packb({"v": 1}),
        msgpack.packb([1]),
        pack_request("segment", points=[[1e5, 1e5]]),
        pack_request("segment", box=[-500, -500, -400, -400]),
    ):
        with pytest.raises(WireError):
            read_reply(raw.exchange([payload]))
    assert robot.status()["stream"] == "gazecast"
    raw.close()


def test_a_waiting_hold_delays_no_other_request_and_is_not_executed_once_refused(monkeypatch):
    commands, held = CommandQueue(), []
    requests = RequestServer("tcp://127.0.0.1:0", "s", commands, WordQueue(), now_ns)

    def hold():
        with Requester(requests.endpoint, timeout_s=60) as robot:
            held.append(robot.hold())

    waiting = threading.Thread(target=hold)
    try:
        with Requester(requests.endpoint, timeout_s=60) as robot:
            monkeypatch.setattr(handler_module, "TRACKER_S", 1000.0)
            waiting.start()
            eventually(lambda: commands._values, "a hold to wait")
            assert not robot.status()["held"]
            commands.drain()[0].reply(7)
            waiting.join(60)
            assert held == [7]
            assert robot.status()["held"]
            monkeypatch.setattr(handler_module, "TRACKER_S", 0.2)
            with pytest.raises(WireError, match="no frame came"):
                robot.hold()
            assert commands.drain() == []
    finally:
        requests.close()


def test_without_a_run_the_refusal_has_a_reason():
    requests = RequestServer("tcp://127.0.0.1:0", "s", CommandQueue(), WordQueue(), now_ns)
    try:
        with Requester(requests.endpoint, timeout_s=60) as robot:
            assert robot.status()["object"] is None
            for ask, expected in (
                (robot.snapshot, "there is no frame yet"),
                (robot.hold, "no frame came within 2 s"),
                (lambda: robot.segment(points=[(1, 1)]), "nothing is encoded yet"),
            ):
                with pytest.raises(WireError, match=expected):
                    ask()
    finally:
        requests.close()
    assert requests.drop_counts() == {"requests.refused": 3}
    RequestServer(requests.endpoint, "s", CommandQueue(), WordQueue(), now_ns).close()  # the port is free again
