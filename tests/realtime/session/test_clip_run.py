"""A whole run with CLIP in a tiny network of random weights names objects, and is repeated to the byte."""

import hashlib
from dataclasses import replace
from functools import partial

import pytest

from engines import ModelError, load, weights
from engines.fetch import RemoteFile
from engines.model_registry import ModelEntry, UrlSource
from realtime.commands.replay import read_recorded_config
from realtime.comms.messages import read_message
from realtime.config.schema import load_config
from realtime.infra.progress import ProgressReporter
from realtime.recording.exact_replay import ExactReplay
from realtime.recording.reader import RecordingReader
from realtime.session.engine import open_recognizer
from realtime.session.run import run
from realtime.tracking.tracker import Tracker
from tests.engines.recognition.clip_files import FILE, write_clip
from tests.realtime import scene
from tests.realtime.kept_view import KeptView

pytest.importorskip("openvino", reason="OpenVINO is not installed")


@pytest.fixture
def models(tmp_path, monkeypatch):
    """A folder of models with CLIP in it; its softmax is sharp, so that random weights are sure of something."""
    folder = tmp_path / "models" / "clip-b32"
    folder.mkdir(parents=True)
    write_clip(folder, scale=1e4)
    data = (folder / FILE).read_bytes()
    file = RemoteFile(FILE, len(data), hashlib.sha256(data).hexdigest())
    entry = ModelEntry("clip-b32", "a test", "CC0", (UrlSource("http://127.0.0.1:9/", (file,)),))
    monkeypatch.setattr(weights, "list_models", lambda: (entry,))
    return tmp_path / "models"


def make_config(tmp_path, models, **more):
    clip, trace = scene.write_clip(tmp_path, 24)
    engine = {
        "backend": "fake", "recognizer": "clip", "recognizer_names": ["disc", "ground"],
        "cache_dir": str(tmp_path / "cache"),
    }  # fmt: skip
    return load_config(None, {
        "source": f"file:{clip}?realtime=0", "gaze": f"trace:{trace}", "models": str(models), "engine": engine,
        "publish": {"endpoint": "tcp://127.0.0.1:0"}, **more,
    })  # fmt: skip


def test_a_run_with_clip_names_objects_and_is_repeated_to_the_byte(tmp_path, models):
    path = tmp_path / "run.mcap"
    run(make_config(tmp_path, models, record={"file": str(path), "frames": "png"}), KeptView())
    recording = RecordingReader(path)
    messages = [read_message(entry.topic, entry.data) for entry in recording.read_entries(("mask",))]
    assert {message.label.name for message in messages if message.label} <= {"disc", "ground"}
    config = read_recorded_config(recording)
    engine = replace(config.engine, cache_dir=tmp_path / "cache")
    encoder, decoder = load(engine, None)
    make_tracker = partial(Tracker, settings=config.tracker, frame_time=recording.about.frame_time)
    opened = []

    def reopen():
        opened.append(open_recognizer(engine, models, ProgressReporter()))
        return opened[-1]

    replay = ExactReplay(recording, encoder, decoder, make_tracker, reopen)
    assert list(replay.replay_masks())
    assert replay.summary.masks == replay.summary.identical >= 10
    assert [recognizer.model for recognizer in opened] == ["clip-b32"]


def test_missing_weights_are_said_before_the_start_and_how_to_fetch_them(tmp_path, models):
    (models / "clip-b32" / FILE).unlink()
    with pytest.raises(ModelError, match="fetch them: gazecast models pull clip-b32"):
        run(make_config(tmp_path, models), KeptView())
