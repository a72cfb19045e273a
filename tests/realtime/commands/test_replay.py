"""A run is recorded, played again, and done exactly again: by the command, with the fake engine."""

import os
import re
import signal
import threading
from contextlib import suppress
from dataclasses import replace
from itertools import groupby

import pytest

import realtime.session.own_engine as engine_module
from engines import EngineSettings, load
from realtime import Requester
from realtime.commands.main import main
from realtime.commands.replay import _explain_difference, read_recorded_config
from realtime.comms.envelope import unpack
from realtime.config.schema import RunConfig, load_config
from realtime.errors import RecordingError, WireError
from realtime.recording.exact_replay import ExactReplay, ReplaySummary
from realtime.recording.format import pack_tracker_call, read_tracker_call
from realtime.recording.playback import RecordedFrames
from realtime.recording.reader import RecordingReader
from realtime.recording.writer import RecordingFile
from realtime.session.run import run
from realtime.simulation.device import SimulatedTracker
from realtime.tracking.tracker import Tracker
from tests.realtime import scene
from tests.realtime.disc_recognizer import DiscRecognizer
from tests.realtime.kept_view import KeptView
from tests.realtime.recording import plain_recordings
from tests.realtime.waiting import eventually

QUICKLY = ("--engine", "fake", "--publish", "tcp://127.0.0.1:0")


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return scene.write_clip(tmp_path_factory.mktemp("scene"), 48)


@pytest.fixture(scope="module")
def live(clip, tmp_path_factory):
    """A recording of a run in real time on a device that sends JPEG."""
    path = tmp_path_factory.mktemp("live") / "live.mcap"
    device = SimulatedTracker(clip[0], clip[1], port=0, blink_every_s=0)
    device.start()
    config = load_config(None, {
        "source": f"pupil://127.0.0.1:{device.port}", "engine": {"backend": "fake"},
        "tracker": {"choice": {"alternatives": 2}}, "record": {"file": str(path)},
        "publish": {"endpoint": "tcp://127.0.0.1:0", "stream": "a test"}, "requests": "tcp://127.0.0.1:0",
    })  # fmt: skip
    stop, view = threading.Event(), Counting()
    monkeypatch = pytest.MonkeyPatch()
    monkeypatch.setattr(engine_module, "open_word_recognizer", lambda *_: DiscRecognizer())
    thread = threading.Thread(target=run, args=(config, view), kwargs={"stop": stop})
    thread.start()
    try:
        eventually(lambda: view.masks() > 15, "masks")
        with Requester(view.answers(), timeout_s=60) as robot:  # others take part in what is shown
            robot.everything(points_per_side=6)
            with suppress(WireError):  # without an alternative it is refused, and recorded all the same
                robot.step_alternative()
            eventually(lambda: is_held(robot), "a hold")
            with suppress(WireError):  # the clip may have begun anew, and the object be lost
                robot.confirm()
            with suppress(WireError):
                robot.correct([scene.centre(0)])
            with suppress(WireError):
                robot.correct(box=(10, 10, 300, 200))
            robot.set_word("ball", seconds=60)
            eventually(lambda: view.masks() > 30, "masks")
            robot.release()
    finally:
        stop.set()
        thread.join(60)
        device.stop()
        monkeypatch.undo()
    return RecordingReader(path)


def is_held(robot):
    """Hold the shown object; False where the clip begins anew, and nothing is on show for a moment."""
    with suppress(WireError):
        return bool(robot.hold())
    return False


class Counting(KeptView):
    """A view that counts masks by their rate."""

    def __init__(self):
        super().__init__()
        self._healths = []

    def on_health(self, health):
        self._healths.append(health.rates.get("masks", 0.0))

    def answers(self):
        """Return the address of the request server."""
        return next(line for line in self.lines if line.startswith("answering")).split()[-1]

    def masks(self):
        return sum(self._healths)


@pytest.fixture(scope="module")
def quick(clip, tmp_path_factory):
    """A recording of a clip that was played as fast as possible, its pictures unchanged."""
    path = tmp_path_factory.mktemp("quick") / "quick.mcap"
    source = ("--source", f"file:{clip[0]}?realtime=0", "--gaze", f"trace:{clip[1]}")
    assert main(["run", *source, *QUICKLY, "--record", str(path), "--set", "record.frames=png"]) == 0
    return path


def tracker_calls(recording):
    return [read_tracker_call(entry.data) for entry in recording.read_entries(("loop/turn",))]


def masks_of(recording):
    return map(recording.read_mask, recording.read_entries(("mask",)))


def again(recording):
    """Return every mask of an exact replay, and its summary."""
    encoder, decoder = load(EngineSettings(backend="fake"), None)
    config = read_recorded_config(recording)

    def make_tracker(decoder, clock_ns):
        return Tracker(decoder, clock_ns, config.tracker, frame_time=recording.about.frame_time)

    replay = ExactReplay(recording, encoder, decoder, make_tracker, DiscRecognizer)
    return list(replay.replay_masks()), replay.summary


def test_a_recording_holds_the_whole_run(live):
    assert live.complete
    assert live.about.from_start
    assert live.about.engine["backend"] == "fake"
    assert live.about.stream == "a test"
    entries = list(live.read_entries())
    topics = {entry.topic for entry in entries}
    assert {"source/frame", "source/gaze", "loop/turn", "mask", "keyframe", "health"} <= topics
    for topic in ("mask", "keyframe", "health"):  # every one that was published, whole
        numbers = [unpack(entry.data)["seq"] for entry in entries if entry.topic == topic]
        assert numbers == list(range(len(numbers)))
    assert all(frame.exact for frame in live.read_frames())
    verbs = [command.verb for turn in tracker_calls(live) for command in turn.commands]
    commands = [verb for verb, _ in groupby(verbs)]  # a hold may take several attempts
    assert commands == ["know", "next", "hold", "confirm", "correct", "word", "hold"]
    assert "held" in {mask.state for mask in masks_of(live)}
    assert {mask.word.text for mask in masks_of(live) if mask.word} == {"ball"}
    assert {mask.confirmed.by for mask in masks_of(live) if mask.confirmed} <= {"request"}
    frames = {frame.key for frame in live.read_frames()}
    assert {turn.frame for turn in tracker_calls(live) if turn.frame} <= frames


def test_a_live_run_is_done_again_to_the_byte_twice(live):
    first, account = again(live)
    assert account.masks == account.identical >= 20
    assert account.missing_frames == account.clock_mismatches == account.failed == 0
    second, _ = again(live)
    assert [mask.replayed for mask in second] == [mask.replayed for mask in first]
    message = next(masks_of(live))
    assert unpack(first[0].replayed)["published_ns"] == message.published_ns


def test_the_comparison_can_fail(live, tmp_path):
    """Moved gaze samples give other masks, which the comparison detects."""
    path = tmp_path / "other.mcap"
    file = RecordingFile(path, live.about)
    for entry in live.read_entries():
        if entry.topic == "loop/turn":
            file.write_message(entry.topic, entry.log_ns, moved(entry.data))
        else:
            file.write_message(entry.topic, entry.log_ns, entry.data)
    file.close()
    _, account = again(RecordingReader(path))
    assert account.identical < account.masks


def moved(data):
    """Move the gaze samples of a tracker call to the right."""
    turn = read_tracker_call(data)
    return pack_tracker_call(
        replace(turn, samples=tuple(replace(sample, x=sample.x + 0.02) for sample in turn.samples))
    )


def run_command(capsys, *argv):
    code = main(list(argv))
    out = capsys.readouterr()
    return code, out.out + out.err


def test_the_command_reports_identical_masks(quick, capsys, tmp_path):
    code, text = run_command(capsys, "replay", str(quick), "--exact", *QUICKLY, "--out", str(tmp_path / "out.mcap"))
    assert code == 0
    count, same, digest = re.search(r"(\d+) masks again in .* s, (\d+) of them byte .*sha256 (\w{64})", text).groups()
    assert int(count) == int(same) >= 30
    _, text = run_command(capsys, "replay", str(quick), "--exact", *QUICKLY)
    assert digest in text
    masks = [entry.data for entry in RecordingReader(quick).read_entries(("mask",))]
    assert [entry.data for entry in RecordingReader(tmp_path / "out.mcap").read_entries(("mask",))] == masks


def test_a_recording_holds_the_resolved_settings(quick):
    assert "[tracker.motion]\nside_px = 360\n" in RecordingReader(quick).about.config


def test_the_command_reports_why_masks_differ(quick, capsys):
    changed = ("--set", "tracker.motion.side_px=160")
    code, text = run_command(capsys, "replay", str(quick), "--exact", *QUICKLY, *changed)
    assert code == 0
    assert "the tracker's settings are not those of the run" in text


def test_the_command_names_what_differs_of_the_engine(quick, capsys):
    recording = RecordingReader(quick)
    engine = {**recording.about.engine, "picture_side": 7}
    reasons = _explain_difference(ReplaySummary(), recording, engine, read_recorded_config(recording))
    (reason,) = (each for each in reasons if "engine" in each)
    assert reason.startswith("the engine is another one (picture_side): then ")
    assert reason.endswith(" 7")


def test_ctrl_c_while_an_engine_is_built_ends_the_replay(quick, monkeypatch):
    def build(settings, models, size, progress):
        os.kill(os.getpid(), signal.SIGINT)
        progress.show_line("the next graph, for minutes")
        pytest.fail("it went on building")

    monkeypatch.setattr("realtime.commands.replay.open_engine", build)
    assert main(["replay", str(quick), "--exact"]) == 130


@pytest.mark.parametrize("how", ["--fast", "--view"])
def test_a_recording_is_a_source(quick, how, capsys, tmp_path):
    """As fast as possible, and in real time: frames keep index and timestamp, and what is looked at is found again."""
    out = tmp_path / "again.mcap"
    more = ("--set", "view.port=0") if how == "--view" else ()
    code, text = run_command(capsys, "replay", str(quick), how, *more, *QUICKLY, "--out", str(out))
    assert code == 0, text
    before, after = RecordingReader(quick), RecordingReader(out)
    assert [(f.index, f.timestamp) for f in after.read_frames()] == [
        (f.index, f.timestamp) for f in before.read_frames()
    ]
    overlaps = [scene.iou(m.mask, scene.truth(m.frame.index)) for m in masks_of(after) if m.mask is not None]
    assert len(overlaps) > (5 if how == "--view" else 20)  # in real time a busy machine passes frames over
    assert sorted(overlaps)[len(overlaps) // 2] > 0.75
    positions = [sample.x for sample in after.read_samples()]
    assert positions == [sample.x for sample in before.read_samples()][: len(positions)]
    assert len(positions) > 150


def test_a_run_that_was_cut_off_is_done_again_up_to_there(live, tmp_path):
    cut = tmp_path / "cut.mcap"
    data = live.path.read_bytes()  # of seconds: one that was over within half a second would be in a single piece
    cut.write_bytes(data[: len(data) // 2])
    recording = RecordingReader(cut)
    assert not recording.complete
    _, account = again(recording)
    assert account.masks == account.identical > 0


def test_a_recording_of_another_machine_opens_no_port_and_names_no_file(tmp_path):
    path = tmp_path / "gift.mcap"
    config = """requests = "tcp://0.0.0.0:5572"
publish.endpoint = "tcp://0.0.0.0:5571"
publish.stream = "theirs"
view.enabled = true
view.snapshots = "/etc"
engine.backend = "fake"
engine.cache_dir = "/theirs"
tracker.gaze.min_confidence = 0.25
"""
    file = RecordingFile(path, replace(plain_recordings.ABOUT, config=config))
    file.write_message("mask", 1, b"")
    file.close()
    found = read_recorded_config(RecordingReader(path))
    assert (found.publish.stream, found.engine.backend) == ("theirs", "fake")
    assert found.tracker.gaze.min_confidence == 0.25
    assert (found.requests, found.publish.endpoint) == (RunConfig().requests, RunConfig().publish.endpoint)
    assert (found.view, found.engine.cache_dir) == (RunConfig().view, None)


def test_a_file_that_cannot_be_replayed_is_refused(tmp_path, capsys):
    nothing = tmp_path / "nothing.mcap"
    nothing.write_text("hello")
    for argv, message in (
        (("replay", str(nothing)), "is no recording of gazecast"),
        (("replay", str(tmp_path / "none.mcap"), "--exact"), "No such file"),
        (("replay", str(nothing), "--exact", "--view"), "there is nothing live for --view"),
        (("run", "--source", "recording:" + str(nothing)), "is no recording of gazecast"),
        (("run", "--source", "camera:0", "--gaze", "recording:"), "needs its frames, from recording:FILE.mcap"),
        (("run", "--source", "recording:x?realtime=2"), "realtime is '2'; expected 0 or 1"),
    ):
        code, text = run_command(capsys, *argv)
        assert code == 2
        assert message in text
    lonely = tmp_path / "lonely.mcap"
    file = RecordingFile(lonely, plain_recordings.ABOUT)
    file.write_message("mask", 1, b"")
    file.close()
    with pytest.raises(RecordingError, match="holds no frames"):
        RecordedFrames(lonely)
