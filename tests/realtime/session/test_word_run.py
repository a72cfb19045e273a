"""A run without eyes, in which a word alone selects, and is repeated to the byte."""

from functools import partial

import pytest

import realtime.session.own_engine as engine_module
from engines import EngineSettings, EngineUnavailable, ModelError, load
from realtime.commands.replay import read_recorded_config
from realtime.comms.messages import read_message
from realtime.config.schema import load_config
from realtime.errors import RunFailed, SettingsError
from realtime.recording.exact_replay import ExactReplay
from realtime.recording.reader import RecordingReader
from realtime.session.engine import check_word_recognizer
from realtime.session.run import run
from realtime.tracking.tracker import Tracker
from tests.realtime import scene
from tests.realtime.disc_recognizer import DiscRecognizer
from tests.realtime.kept_view import KeptView


def make_config(tmp_path, **more):
    clip, _ = scene.write_clip(tmp_path, 40)
    return load_config(None, {
        "source": f"file:{clip}?realtime=0", "engine": {"backend": "fake"},
        "publish": {"endpoint": "tcp://127.0.0.1:0"}, **more,
    })  # fmt: skip


def test_a_word_alone_selects_and_the_run_is_repeated_to_the_byte(tmp_path, monkeypatch):
    monkeypatch.setattr(engine_module, "check_word_recognizer", lambda *_: None)
    monkeypatch.setattr(engine_module, "open_recognizer", lambda *_: DiscRecognizer())
    path, view = tmp_path / "run.mcap", KeptView()
    run(make_config(tmp_path, word="red balls", record={"file": str(path), "frames": "png"}), view)
    assert "searching for 'red balls'" in view.lines
    recording = RecordingReader(path)
    messages = [read_message(entry.topic, entry.data) for entry in recording.read_entries(("mask",))]
    shown = [message for message in messages if message.mask is not None]
    assert len(shown) > 20
    assert {(each.prompt, each.gaze.confidence, each.word.text) for each in shown} == {("word", 0, "red balls")}
    assert len({each.object for each in shown}) == 1
    assert scene.iou(shown[-1].mask, scene.truth(shown[-1].frame.index)) > 0.8
    config = read_recorded_config(recording)
    encoder, decoder = load(config.engine, None)
    make_tracker = partial(Tracker, settings=config.tracker, frame_time=recording.about.frame_time)
    replay = ExactReplay(recording, encoder, decoder, make_tracker, DiscRecognizer)
    assert list(replay.replay_masks())
    assert replay.summary.masks == replay.summary.identical == len(messages)


def test_a_run_without_gaze_needs_a_word(tmp_path):
    with pytest.raises(SettingsError, match="or --word to name the object"):
        run(make_config(tmp_path), KeptView())


def test_a_word_that_is_not_in_the_clip_is_why_it_ended_without_a_mask(tmp_path, monkeypatch):
    monkeypatch.setattr(engine_module, "check_word_recognizer", lambda *_: None)
    monkeypatch.setattr(engine_module, "open_recognizer", lambda *_: DiscRecognizer())
    with pytest.raises(RunFailed, match="the clip ended before 'book' was found in it"):
        run(make_config(tmp_path, word="book"), KeptView())


def test_a_word_that_is_too_long_is_refused_before_the_start(tmp_path, monkeypatch):
    monkeypatch.setattr(engine_module, "check_word_recognizer", lambda *_: None)
    with pytest.raises(SettingsError, match="word must be a text of at most 80 characters"):
        run(make_config(tmp_path, word="x" * 81), KeptView())


def test_a_word_without_a_recognizer_is_refused_before_the_start(tmp_path):
    with pytest.raises(EngineUnavailable, match="a word needs a recognizer"):
        run(make_config(tmp_path, word="cup", engine={"backend": "fake", "recognizer": "off"}), KeptView())
    with pytest.raises(ModelError, match="gazecast models pull nanodet"):
        check_word_recognizer(EngineSettings(backend="fake"), tmp_path)
    check_word_recognizer(EngineSettings(backend="fake", recognizer="nanodet"), tmp_path)
