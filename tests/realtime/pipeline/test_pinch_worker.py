"""Pinches reach the tracker as commands, at a bounded rate, and are repeated by an exact replay."""

import numpy as np
import pytest

from engines import weights
from engines.landmarks.hand_landmarker import MODEL, HandLandmarker
from realtime.commands.main import main
from realtime.errors import CommandRejected
from realtime.pipeline.control import CommandQueue
from realtime.pipeline.pinch_worker import PinchWorker
from realtime.recording.reader import RecordingReader
from realtime.session import pinch_input
from realtime.tracking.pinch_detector import PinchSettings
from realtime.types import Frame
from tests.engines.drawn_hand import draw_hand
from tests.realtime import scene
from tests.realtime.tracking.test_pinch_detector import CLOSED, OPEN, hand
from tests.realtime.waiting import eventually

FPS = 24
IMAGE = np.zeros((720, 1280, 3), np.uint8)


class ScriptedFinder:
    """Finds a hand whose fingers are open in the first pictures, and closed after them."""

    def __init__(self, open_count=12):
        self.open_count, self.calls = open_count, 0

    def find(self, image):
        self.calls += 1
        palm = 0.1 * max(image.shape)
        return (hand(OPEN if self.calls <= self.open_count else CLOSED, palm=palm),)


class FailingFinder:
    def find(self, image):
        raise RuntimeError("out of order")


def frame(index, fps=FPS):
    at_ns = 10**9 + round(index * 1e9 / fps)
    return Frame(IMAGE, index, index / fps, at_ns, at_ns)


def start(finder, notices, *, every_frame=True, **settings):
    commands = CommandQueue()
    worker = PinchWorker(
        lambda: finder, PinchSettings(enabled=True, **settings), commands, notices.append, every_frame=every_frame
    )
    worker.start()
    return worker, commands


@pytest.mark.parametrize(("fps", "count"), [(30, 10), (24, 8), (60, 10), (8, 8)])
def test_frames_are_searched_at_a_bounded_rate(fps, count):
    finder = ScriptedFinder()
    worker, _ = start(finder, [])
    for index in range(fps):
        worker.on_frame(frame(index, fps))
    eventually(lambda: finder.calls >= count - 1, "most frames")
    worker.close()
    assert count - 1 <= finder.calls <= count + 1
    assert not worker.problem()
    assert not worker.drop_counts()


def test_a_pinch_becomes_one_command_and_its_refusal_a_notice():
    notices = []
    worker, commands = start(ScriptedFinder(4), notices)
    frames = [frame(index, 10) for index in range(10)]
    for each in frames:
        worker.on_frame(each)
    eventually(lambda: commands._values, "a command")
    worker.close()
    (command,) = commands.drain()
    assert (command.verb, command.by, command.object) == ("confirm", "pinch", None)
    assert command.seen_ns == frames[4].captured_ns
    command.reply(4)
    assert notices == []
    command.reply(CommandRejected("nothing is on show"))
    assert notices == ["Not confirmed: nothing is on show."]


def test_a_finder_that_fails_is_reported_and_ends_nothing():
    worker, commands = start(FailingFinder(), [])
    for index in range(3):
        worker.on_frame(frame(index, 5))
    eventually(lambda: "out of order" in worker.problem(), "a problem")
    worker.close()
    assert sum(worker.drop_counts().values()) >= 1
    assert not commands.drain()


@pytest.fixture
def scripted(monkeypatch):
    """Stand in for the networks, which need not be there."""
    monkeypatch.setattr(pinch_input, "HandLandmarker", lambda folder: ScriptedFinder())
    monkeypatch.setattr(pinch_input.weights, "pull_model", lambda *args, **flags: None)


def record_run(clip, path):
    source = ("--source", f"file:{clip[0]}?realtime=0", "--gaze", f"trace:{clip[1]}", "--confirm-pinch")
    quick = ("--engine", "fake", "--publish", "tcp://127.0.0.1:0", "--set", "record.frames=png")
    assert main(["run", *source, *quick, "--record", str(path)]) == 0
    recording = RecordingReader(path)
    return recording, [recording.read_mask(entry) for entry in recording.read_entries(("mask",))]


def test_a_pinch_confirms_the_object_in_a_whole_run_and_its_exact_replay(scripted, tmp_path, capsys):
    recording, masks = record_run(scene.write_clip(tmp_path, 60, speed=0.0), tmp_path / "run.mcap")
    confirmed = [mask for mask in masks if mask.confirmed is not None]
    assert {(mask.confirmed.by, mask.confirmed.number) for mask in confirmed} == {("pinch", 1)}
    assert {mask.object for mask in confirmed} == {masks[-1].object}
    first = confirmed[0]
    assert first.confirmed.at_ns in {each.captured_ns for each in recording.read_frames()}
    assert first.confirmed.at_ns < first.captured_ns
    capsys.readouterr()
    assert main(["replay", str(recording.path), "--exact", "--engine", "fake"]) == 0
    assert f"{len(masks)} of them byte for byte as recorded" in capsys.readouterr().err


def test_a_drawn_hand_confirms_the_object_in_a_whole_run(tmp_path):
    if not weights.is_cached(MODEL):
        pytest.skip("gazecast models pull hands brings the networks")
    assert HandLandmarker is pinch_input.HandLandmarker

    def draw(index, speed):
        openness = 1.0 if index < 40 else max(0.0, 1.0 - (index - 40) / 4)
        return np.asarray(draw_hand(openness, (250.0, 120.0), 130.0, scene.picture(0, 0.0)), np.uint8)

    _, masks = record_run(scene.write_clip(tmp_path, 64, speed=0.0, draw=draw), tmp_path / "run.mcap")
    confirmed = [mask for mask in masks if mask.confirmed is not None]
    assert {(mask.confirmed.by, mask.confirmed.number) for mask in confirmed} == {("pinch", 1)}
    assert confirmed[0].frame.index > 40
