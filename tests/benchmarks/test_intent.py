"""Tests the measure of intent: stills, verdicts, calibration, and a run over a small set with the fake engine."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from benchmarks.intent import measure_calibration, summarize
from benchmarks.streaming_eval import figures
from benchmarks.streaming_eval.embedding_cache import EmbeddingCache
from benchmarks.streaming_eval.fixations import FixationOutcome, SteppedTracker, judge_mask, replay_fixations
from benchmarks.streaming_eval.recognition import SteppedRecognizer
from benchmarks.streaming_eval.stills import SIZE, load_stills
from engines import EngineSettings, load
from realtime.tracking.tracker import TrackerSettings


def box(left: int, top: int, right: int, bottom: int) -> np.ndarray:
    mask = np.zeros(SIZE[::-1], bool)
    mask[top:bottom, left:right] = True
    return mask


def polygon(left: int, top: int, right: int, bottom: int) -> list[list[int]]:
    return [[left, top], [right, top], [right, bottom], [left, bottom]]


@pytest.fixture
def stills(tmp_path: Path) -> Path:
    """Two pictures of frame size: a plate with a cup on it, and two boxes."""
    (tmp_path / "images").mkdir()
    pictures = [
        [("plate", (100, 100, 400, 400)), ("cup", (150, 150, 350, 350))],
        [("box", (50, 50, 250, 250)), ("box", (300, 200, 500, 400)), ("speck", (5, 5, 8, 8))],
    ]
    images = []
    for number, objects in enumerate(pictures):
        picture = np.full((480, 640, 3), 60, np.uint8)
        for k, (_, corners) in enumerate(objects):
            cv2.rectangle(picture, corners[:2], corners[2:], (80 * k, 200 - 60 * k, 120 + 60 * k), -1)
        cv2.imwrite(str(tmp_path / "images" / f"{number}.png"), picture)
        labelled = [
            {"id": k, "category": name, "polygon": polygon(*corners)} for k, (name, corners) in enumerate(objects)
        ]
        images.append({"image": f"{number}.png", "width": 640, "height": 480, "objects": labelled})
    (tmp_path / "annotations.json").write_text(json.dumps({"images": images}))
    return tmp_path


def test_targets_are_large_and_not_covered(stills: Path) -> None:
    found = load_stills(stills, 0.005, 160, 1)
    assert sorted(target.category for still in found for target in still.targets) == ["box", "box", "cup", "plate"]
    for still in found:
        for target in still.targets:
            x, y = target.point_px
            assert target.mask[int(y), int(x)]
            if target.category == "plate":
                assert not box(150, 150, 350, 350)[int(y), int(x)], "the cup covers it there"


def test_targets_are_spread_over_pictures(stills: Path) -> None:
    assert [len(still.targets) for still in load_stills(stills, 0.005, 2, 1)] == [1, 1]


def test_no_target_is_reported(stills: Path) -> None:
    with pytest.raises(SystemExit, match="covers"):
        load_stills(stills, 0.9, 2, 1)


@pytest.mark.parametrize(
    ("mask", "verdict"),
    [
        (box(100, 100, 200, 200), "right"),
        (box(100, 100, 200, 151), "right"),
        (box(120, 120, 160, 160), "part"),
        (box(50, 50, 300, 300), "more"),
        (box(300, 300, 400, 400), "other"),
        (box(0, 0, 0, 0), "none"),
        (None, "none"),
    ],
)
def test_verdicts(mask: np.ndarray | None, verdict: str) -> None:
    assert judge_mask(mask, box(100, 100, 200, 200))[0] == verdict


def test_calibration_error() -> None:
    assert measure_calibration([(0.8, True)] * 8 + [(0.8, False)] * 2)["error"] == pytest.approx(0.0)
    found = measure_calibration([(1.0, False)] * 3 + [(0.25, False)])
    assert found["error"] == pytest.approx((3 * 1.0 + 0.25) / 4, abs=1e-3)
    assert [each["count"] for each in found["bins"]] == [0, 0, 1, 0, 0, 0, 0, 0, 0, 3]
    assert measure_calibration([])["error"] is None


def test_every_object_is_fixated_once(stills: Path, tmp_path: Path) -> None:
    encoder, decoder = load(EngineSettings(backend="fake"), None, frame_size=SIZE)
    cache = EmbeddingCache(encoder, tmp_path / "cache")
    runs = [
        replay_fixations(load_stills(stills, 0.005, 160, 1), tracker, 5.0, 0.6, 1)
        for tracker in (SteppedTracker(cache, decoder, TrackerSettings(), 2, SteppedRecognizer(0)) for _ in range(2))
    ]
    assert runs[0] == runs[1], "no clock and no chance"
    assert len(runs[0]) == 4
    summary = summarize(runs[0])
    assert summary["right"] + summary["part"] + summary["more"] + summary["other"] + summary["none"] == pytest.approx(1)
    assert summary["in_alternatives"] >= summary["right"]


def test_the_figure_is_drawn(tmp_path: Path) -> None:
    outcomes = [
        FixationOutcome("right", 0.8, 0.7, True, 0.1, 0.05, "cup"),
        FixationOutcome("part", 0.2, 0.4, True, None, 0.3, "car"),
    ]
    row = {"settings": "whole", "encode_frames": 8, "error_px": 20.0, **summarize(outcomes)}
    drawn = figures.draw({"intent": {"rows": [row], "device": "a CPU", "date": "2026-01-01"}}, tmp_path)
    assert [path.stat().st_size > 1000 for path in drawn] == [True]
