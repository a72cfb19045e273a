"""Automatic settings of a run are replaced by numbers that suit the machine."""

from __future__ import annotations

import pytest

from engines import EngineSettings, ModelError, load
from realtime.infra.progress import ProgressReporter
from realtime.session.engine import open_engine, preload_engine, resolve_tracker_settings
from realtime.tracking.motion.optical_flow import MotionSettings
from realtime.tracking.settings import TrackerSettings


def test_a_chosen_side_stays() -> None:
    chosen = TrackerSettings(motion=MotionSettings(side_px=320))
    encoder, _ = load(EngineSettings(backend="fake"), None)
    assert resolve_tracker_settings(chosen, encoder) == chosen


def test_an_engine_without_a_choice_of_sides_has_the_usual_one() -> None:
    encoder, _ = load(EngineSettings(backend="fake"), None)
    assert resolve_tracker_settings(TrackerSettings(), encoder).motion.side_px == 360


@pytest.mark.parametrize("side_px", [-1, 1, 63])
def test_a_side_that_is_too_small_is_refused(side_px: int) -> None:
    with pytest.raises(ValueError, match="side_px must be at least 64, or 0 for automatic"):
        MotionSettings(side_px=side_px)


def test_a_live_run_loads_its_engine_while_it_waits_for_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    loads: list[tuple[int, int] | None] = []

    def load_pair(
        settings: EngineSettings, folder: object, *, frame_size: tuple[int, int] | None, report: object
    ) -> object:
        loads.append(frame_size)
        return load(EngineSettings(backend="fake"), None)

    monkeypatch.setattr("realtime.session.engine.load", load_pair)
    monkeypatch.setattr("realtime.session.engine.weights.pull_model", lambda *args, **more: None)
    preloaded = preload_engine(EngineSettings(), None, ProgressReporter())
    assert preloaded is not None
    pair = open_engine(EngineSettings(), None, (640, 480), ProgressReporter(), live=True, preloaded=preloaded)
    assert pair is preloaded.result()
    assert loads == [None]


def test_an_engine_that_cannot_be_loaded_ahead_is_refused_when_it_is_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **more: object) -> None:
        raise ModelError("no weights")

    monkeypatch.setattr("realtime.session.engine.weights.pull_model", refuse)
    preloaded = preload_engine(EngineSettings(), None, ProgressReporter())
    with pytest.raises(ModelError, match="no weights"):
        open_engine(EngineSettings(), None, None, ProgressReporter(), live=True, preloaded=preloaded)


@pytest.mark.parametrize(
    "settings", [EngineSettings(backend="fake"), EngineSettings(backend="tensorrt"), EngineSettings(picture_side=512)]
)
def test_an_engine_that_needs_the_frame_size_is_not_loaded_ahead(settings: EngineSettings) -> None:
    assert preload_engine(settings, None, ProgressReporter()) is None
