"""Tests which camera films the eyes, and what is refused."""

from __future__ import annotations

import pytest

from realtime.config.schema import load_config
from realtime.config.webcam import WebcamSettings
from realtime.errors import SettingsError, SourceError
from realtime.infra.progress import ProgressReporter
from realtime.session import webcam_input
from realtime.session.inputs import open_gaze
from realtime.session.run import run
from realtime.sources.browser import BrowserFrames
from realtime.sources.names import parse_source, redact_source
from tests.realtime.kept_view import KeptView
from tests.realtime.webcam_eyes import DiscFinder


@pytest.fixture
def opened(monkeypatch, tmp_path):
    monkeypatch.setattr(webcam_input, "FaceLandmarker", lambda folder: DiscFinder())
    monkeypatch.setattr(webcam_input.weights, "pull_model", lambda *args, **flags: None)
    monkeypatch.setattr(webcam_input, "open_frames", lambda spec: spec)

    def open_one(spec):
        settings = WebcamSettings(folder=tmp_path)
        return webcam_input.open_webcam_gaze(parse_source(spec), settings, None, ProgressReporter())

    return open_one


@pytest.mark.parametrize("spec", ["webcam", "webcam:", "WEBCAM"])
def test_the_pages_camera_films_the_eyes_unless_another_is_named(opened, spec):
    assert isinstance(opened(spec).camera, BrowserFrames)


@pytest.mark.parametrize(
    ("spec", "camera"),
    [
        ("webcam:0", "camera:0"), ("webcam:2?width=1280&height=720", "camera:2?width=1280&height=720"),
        ("webcam:/dev/video1", "/dev/video1"), ("webcam:camera:1", "camera:1"), ("webcam:face.mp4", "face.mp4"),
        ("webcam:rtsp://u:secret@127.0.0.1/a", "rtsp://u:secret@127.0.0.1/a"),
    ],
)  # fmt: skip
def test_a_camera_of_this_machine_or_another_source_can_be_named(opened, spec, camera):
    assert opened(spec).camera == camera


@pytest.mark.parametrize("spec", ["webcam:front", "webcam:browser:", "webcam:webcam:0", "webcam:gaze.csv"])
def test_what_is_no_camera_is_refused(opened, spec):
    with pytest.raises(SourceError, match="expected webcam, webcam:0"):
        opened(spec)


def test_a_password_is_not_shown():
    assert redact_source("webcam:rtsp://u:secret@127.0.0.1/a?k=v") == "webcam:rtsp://127.0.0.1/a"
    assert redact_source("webcam:0") == "webcam:0"


def test_other_verbs_refuse_it_with_the_reason():
    with pytest.raises(SourceError, match="gazecast run --view"):
        open_gaze("webcam")


@pytest.mark.parametrize(
    ("flags", "reason"),
    [
        ({"gaze": "webcam"}, "add --view"),
        (
            {"gaze": "webcam", "calibration": "gaze.json", "view": {"enabled": True}},
            "leave out --calibration",
        ),
    ],
)
def test_a_run_says_what_does_not_go_together(monkeypatch, tmp_path, flags, reason):
    monkeypatch.setattr(webcam_input, "FaceLandmarker", lambda folder: DiscFinder())
    monkeypatch.setattr(webcam_input.weights, "pull_model", lambda *args, **kept: None)
    with pytest.raises(SettingsError, match=reason):
        run(load_config(None, {"source": "camera:0", "engine": {"backend": "fake"}, **flags}), KeptView())


@pytest.mark.parametrize(
    ("field", "value"),
    [("person", ""), ("person", "../a"), ("person", "x" * 41), ("fov_deg", 5.0), ("fov_deg", float("nan")),
     ("screen_width_mm", -1.0), ("screen_width_mm", 3.0), ("max_rate_hz", 0.0)],
)  # fmt: skip
def test_settings_that_cannot_be_are_refused(field, value):
    with pytest.raises(SettingsError, match=field):
        load_config(None, {"webcam": {field: value}})
