"""A run is repeated to the byte although its engine failed: the tracker goes on from where a call of it ended."""

from dataclasses import replace

import pytest

from engines import EngineSettings, EngineUnavailable, load
from realtime.pipeline.control import UserCommand
from realtime.pipeline.publisher import MessagePublisher
from realtime.pipeline.tracker_log import LoggedTracker
from realtime.recording.exact_replay import ExactReplay
from realtime.recording.format import FRAME, TRACKER_CALL, pack_frame, pack_tracker_call, read_tracker_call
from realtime.recording.reader import RecordingReader
from realtime.recording.writer import RecordingFile
from realtime.tracking.keyframe import Keyframe
from realtime.tracking.tracker import Tracker
from realtime.types import Frame, GazeSample
from tests.realtime import scene
from tests.realtime.recording.plain_recordings import ABOUT

FRAMES, AGE, FPS = 30, 3, 24
STEP_NS = 1_000_000_000 // FPS


class FailingDecoder:
    """The fake engine's decoder, which fails for some calls, as while another engine is opened."""

    def __init__(self, inside, failing):
        self.inside, self.failing, self.calls, self.failures = inside, failing, 0, 0
        self.info = inside.info

    def decode(self, embedding, prompts):
        self.calls += 1
        if self.calls in self.failing:
            self.failures += 1
            raise EngineUnavailable("another engine is being opened")
        return self.inside.decode(embedding, prompts)

    def close(self):
        self.inside.close()


class RecordedRun:
    """Records the scene with a hold and a correction, whose decode may fail as any other."""

    def __init__(self, path, failing):
        self.now_ns = 1_000_000_000
        self.encoder, decoder = load(EngineSettings(backend="fake"), None)
        self.decoder = FailingDecoder(decoder, failing)
        self.file = RecordingFile(path, ABOUT)
        self.tracker = LoggedTracker(
            Tracker, self.decoder, MessagePublisher(self, ABOUT.stream, self.read_clock), self.read_clock,
            on_call=lambda call: self.write(TRACKER_CALL, pack_tracker_call(call)),
        )  # fmt: skip
        self.raised = 0
        for index in range(FRAMES):
            self.play(index)
        self.file.close()

    def read_clock(self):
        self.now_ns += 1000
        return self.now_ns

    def send(self, topic, payload):
        self.write(topic, payload)
        return True

    def write(self, topic, data):
        self.file.write_message(topic, self.read_clock(), data)

    def play(self, index):
        self.now_ns = 1_000_000_000 + index * STEP_NS
        frame = self.make_frame(index)
        self.write(FRAME, pack_frame(frame, False, 90))
        x, y = scene.centre(index)
        samples = [
            GazeSample(x, y, "px", 0.95, at_ns / 1e9, at_ns, at_ns)
            for at_ns in range(self.now_ns - STEP_NS, self.now_ns, STEP_NS // 5)
        ]
        keyframe = None
        if index >= AGE and index % AGE == 0:
            before = self.make_frame(index - AGE)
            keyframe = Keyframe.from_frame(before, self.encoder.encode(before.image), 1, self.now_ns)
        commands = {
            15: [UserCommand("correct", clicks=((x, y, 1),))],
            20: [UserCommand("hold"), UserCommand("undo")],
        }.get(index, [])
        try:
            if keyframe is not None and index % 2:
                self.tracker.prepare(keyframe)
                keyframe = None
            self.tracker.step(frame, samples, keyframe, commands)
            while self.tracker.refine():
                pass
        except EngineUnavailable:  # as the track thread's guard does
            self.raised += 1

    def make_frame(self, index):
        at_ns = 1_000_000_000 + index * STEP_NS
        return Frame(scene.picture(index), index, index / FPS, at_ns, at_ns)


def replay(recording):
    encoder, decoder = load(EngineSettings(backend="fake"), None)
    replayed = ExactReplay(recording, encoder, decoder, Tracker)
    return list(replayed.replay_masks()), replayed.summary


@pytest.mark.parametrize("failing", [(), (1,), (6,), (9, 10, 11), (4, 6, 8), (10,)])
def test_a_run_whose_decodes_failed_is_repeated_to_the_byte(failing, tmp_path):
    path = tmp_path / "run.mcap"
    run = RecordedRun(path, failing)
    assert run.raised == run.decoder.failures == len(failing), "or nothing is tested"
    _, summary = replay(RecordingReader(path))
    assert summary.masks == summary.identical >= FRAMES - 5 - run.raised
    assert summary.failed == run.raised
    assert summary.clock_mismatches == summary.missing_frames == 0


def test_without_the_failures_other_masks_are_made(tmp_path):
    path, other = tmp_path / "run.mcap", tmp_path / "other.mcap"
    RecordedRun(path, (9, 10, 11))
    recording = RecordingReader(path)
    file = RecordingFile(other, recording.about)
    for entry in recording.read_entries():
        data = entry.data
        if entry.topic == TRACKER_CALL:
            data = pack_tracker_call(replace(read_tracker_call(data), failed_decode=None))
        file.write_message(entry.topic, entry.log_ns, data)
    file.close()
    _, summary = replay(RecordingReader(other))
    assert summary.identical < summary.masks
