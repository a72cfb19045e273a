"""Tests the benchmark on a fake engine over real sockets, and that its results can be written and drawn."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from benchmarks import streaming, tracker_ablation
from benchmarks.streaming_eval import figures
from benchmarks.streaming_eval.clips import Clip
from benchmarks.streaming_eval.device import NoMasksError
from benchmarks.streaming_eval.gaze import simulate_gaze
from benchmarks.streaming_eval.programs import CommandProgram, DiscProgram, MeasuredProgram, measure_program
from benchmarks.streaming_eval.scoring import score_playback
from tests.benchmarks.test_clips import moving

FPS = 24.0
FAKE = f"{sys.executable} -m realtime run --engine fake --source {{source}} --publish {{publish}}"


def measured(program: MeasuredProgram, clip: Clip, ready_s: float = 300.0) -> tuple[object, ...]:
    return measure_program(program, [clip], {clip.name: simulate_gaze(clip, FPS, 2.0, 1)}, FPS, 1, ready_s)


@pytest.fixture(scope="module")
def clip() -> Clip:
    return moving("a", 24, 2.0)


def test_a_program_is_played_to_and_scored_over_real_sockets(clip: Clip) -> None:
    played, arrivals = measure_program(
        CommandProgram(FAKE), [clip], {clip.name: simulate_gaze(clip, FPS, 2.0, 1)}, FPS, 1, 300.0
    )
    found = score_playback(played, arrivals)
    assert found.unknown == (0, 0)
    assert found.frames_masked > 0.3
    assert found.jf > 0.2
    assert all(0 <= ms < 10_000 for ms in found.frame_to_mask_ms)


def test_the_disc_is_scored_as_any_program(clip: Clip) -> None:
    played, arrivals = measure_program(
        DiscProgram(15), [clip], {clip.name: simulate_gaze(clip, FPS, 0.0, 1)}, FPS, 1, 300.0
    )
    found = score_playback(played, arrivals)
    assert found.unknown == (0, 0)
    assert found.jf > 0.6


def test_a_program_that_ends_is_reported_with_its_last_words(clip: Clip) -> None:
    with pytest.raises(NoMasksError, match=r"(?s)ended before its first mask.*nonsense is no setting"):
        measured(CommandProgram(f"{sys.executable} -c \"import sys; sys.exit('nonsense is no setting')\""), clip)


def test_a_program_without_masks_is_given_up(clip: Clip) -> None:
    with pytest.raises(NoMasksError, match="no mask within 0 s"):
        measured(CommandProgram(f'{sys.executable} -c "import time; time.sleep(600)"'), clip, ready_s=0.0)


def a_fit(jf: float) -> dict[str, object]:
    return {
        "streaming_jf": jf, "j": jf, "f": jf, "own_frame_j": None, "stability": None, "frames_masked": 1.0,
        "masks_per_s": 24.0, "frame_to_mask_ms": {"p50": 20.0, "p95": 30.0, "p99": None},
        "frame_to_mask_ms_each_percent": list(np.linspace(10, 40, 99)), "clips": {"a": [jf, jf]},
    }  # fmt: skip


def a_switch() -> dict[str, object]:
    line = {"clip": "a+b", "at_s": [0.0, 0.1, 0.2], "looked_at": [0, 0, 1], "sits_on": [0, -1, 0], "iou": [0.9, 0, 0]}
    return {
        "streaming_jf": 0.5, "saccades": 3, "never_right": 0.0, "stale": 0.2, "elsewhere": 0.1, "strays": 0.0,
        "renamed": 0.0, "recalled": None, "first_right_ms": {"p50": 200.0, "p95": None}, "timeline": line,
    }  # fmt: skip


HEAD = {"date": "2026-01-01T00:00", "machine": "m", "fps": 24.0, "seeds": [1], "clips": ["a"], "noise_px": 10.0}
ROWS = {"whole": {"jf": 0.5, "stale": 0.1}, "x": {"jf": 0.4, "stale": 0.2}, "y": {"jf": 0.6, "stale": None}}
RESULTS = {
    "fit": HEAD | {"programs": {"disc": a_fit(0.3), "gazecast": a_fit(0.6), "mine": a_fit(0.5)}},
    "errors": HEAD | {"streaming_jf_per_seed": {"disc": {"0": [0.3, 0.2], "40": [0.1, 0.2]}}},
    "switches": HEAD | {"programs": {"gazecast": a_switch()}},
    "late": HEAD | {"streaming_jf": {"gazecast": {"1": 0.7, "4": 0.5}}},
    "ablations": HEAD
    | {"columns": {"jf": "J&F", "stale": "wrong"}, "drawn": ["jf", "stale"], "less_is_better": ["stale"], "rows": ROWS},
}


def test_every_figure_is_drawn_from_its_json(tmp_path: Path) -> None:
    paths = figures.draw(json.loads(json.dumps(RESULTS)), tmp_path / "new")
    assert len(paths) == 6
    for path in paths:
        picture = cv2.imread(str(path))
        assert picture is not None
        assert picture.std() > 5
    assert [path.name for path in figures.draw({"fit": RESULTS["fit"]}, tmp_path)] == [
        "streaming-clips.png", "streaming-latency.png",
    ]  # fmt: skip


def test_tables_mark_unknown_values() -> None:
    text = streaming.format_table(RESULTS)
    assert "| gazecast | 0.6 |" in text
    assert "200 / -" in text
    assert "| disc | 0.250 | 0.150 |" in text
    assert "| y | 0.6 |  |" in tracker_ablation.format_table(RESULTS)


def test_a_run_without_work_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["streaming", "--out", str(tmp_path / "none.json")])
    with pytest.raises(SystemExit, match="nothing to do"):
        streaming.main()
