"""Tests streaming J&F: tables, properties, and agreement with the acceptance bench where that is installed."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.streaming_eval.clips import Clip
from benchmarks.streaming_eval.device import scored_moments
from benchmarks.streaming_eval.gaze import simulate_gaze
from benchmarks.streaming_eval.playback import MaskArrival, PlaybackLog, SentFrame
from benchmarks.streaming_eval.scoring import iou, j_and_f, percentiles, pool_scores, score_playback
from tests.benchmarks.drawn import blob, disc, random_masks

FPS = 24.0


def one_clip(name: str, count: int, seed: int = 0) -> Clip:
    return Clip(name, (b"",) * count, (tuple(random_masks(count, seed)),))


def played_at(clips: list[Clip], start_s: float = 100.0) -> PlaybackLog:
    """Clips one after the other, every frame sent when it is due."""
    out = PlaybackLog(FPS, epoch_s=7.0)
    for play, clip in enumerate(clips, 1):
        gaze = simulate_gaze(clip, FPS, 5.0, 1)
        out.moments += scored_moments(clip, gaze, FPS, start_s, play)
        for number in range(len(clip)):
            out.sent[len(out.sent)] = SentFrame(start_s + number / FPS, clip, number, play)
        start_s += len(clip) / FPS
    return out


def answers(played: PlaybackLog, delay_s: float, age: int = 0) -> list[MaskArrival]:
    """The true mask of every frame, `delay_s` after it; of `age` frames before it."""
    out = []
    for index, sent in played.sent.items():
        truth = sent.clip.objects[0][max(0, sent.number - age)]
        out.append(MaskArrival(sent.at_s + delay_s, truth, index, sent.at_s + played.epoch_s))
    return out


def test_the_truth_in_time_scores_one() -> None:
    run = played_at([one_clip("a", 20), one_clip("b", 15, 1)])
    run.gaze_s = {round(s.at_s + run.epoch_s, 4) for s in run.sent.values()}
    found = score_playback(run, answers(run, 0.01))
    assert found.jf == pytest.approx(1.0)
    assert found.own_j == [1.0] * 35
    assert found.frames_masked == 1.0
    assert found.unknown == (0, 0)
    assert found.frame_to_mask_ms == pytest.approx([10.0] * 35)


def test_the_truth_too_late_loses_streaming_but_not_own_frame() -> None:
    run = played_at([Clip("a", (b"",) * 20, (tuple(disc(30 + 3 * i, 40, 12) for i in range(20)),))])
    late = score_playback(run, answers(run, 3.5 / FPS))
    assert late.jf < 0.8
    assert np.mean(late.own_j) == 1.0


def test_nothing_received_scores_zero() -> None:
    run = played_at([one_clip("a", 20)])
    found = score_playback(run, [])
    assert found.jf == 0.0
    assert found.frames_masked == 0.0
    assert pool_scores([found])["frame_to_mask_ms"] is None


def test_foreign_labels_are_counted() -> None:
    run = played_at([one_clip("a", 20)])
    found = score_playback(run, [MaskArrival(100.5, None, 999, 1.0), MaskArrival(100.6, None, 3, 1.0)])
    assert found.unknown == (1, 2)


@given(st.integers(0, 10_000))
@settings(max_examples=15, deadline=None)
def test_j_and_f_are_bounded_symmetric_and_one_only_for_the_same(seed: int) -> None:
    a, b = random_masks(2, seed)
    assert j_and_f(a, b) == pytest.approx(j_and_f(b, a))
    assert all(0 <= value <= 1 for value in j_and_f(a, b))
    assert j_and_f(a, a) == (1.0, 1.0)
    assert (iou(a, b) == 1.0) == np.array_equal(a, b)


def test_the_boundary_forgives_its_tolerance_and_not_more() -> None:
    a = disc(60, 45, 25)  # 160 x 90: a tolerance of 2 px
    assert j_and_f(disc(61, 45, 25), a)[1] == 1.0
    assert j_and_f(disc(70, 45, 25), a)[1] < 0.6


def test_a_mask_of_another_size_is_brought_to_the_truths() -> None:
    truth = disc(60, 45, 25)
    assert j_and_f(truth.repeat(2, 0).repeat(2, 1), truth) == (1.0, 1.0)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([], None),
        ([1.0, 2.0, 3.0], {"p50": 2.0, "p95": 2.9}),
        ([1.0, float("inf"), float("inf")], {"p50": None, "p95": None}),
        ([1.0, 2.0, float("inf")], {"p50": 2.0, "p95": None}),
    ],
)
def test_percentiles_count_missing_values(values: list[float], expected: dict[str, float | None] | None) -> None:
    assert percentiles(values, (50, 95)) == expected


# -- against the acceptance bench --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def theirs() -> ModuleType:
    """Load the acceptance bench, from beside the repository or from GAZECAST_BENCH."""
    beside = Path(__file__).resolve().parents[3] / "shared" / "bench" / "streaming.py"
    path = Path(os.environ.get("GAZECAST_BENCH", beside))
    if not path.exists():
        pytest.skip("no acceptance bench beside the repository; GAZECAST_BENCH=FILE names one")
    spec = importlib.util.spec_from_file_location("acceptance_bench", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_masks_score_as_in_the_acceptance_bench(theirs: ModuleType) -> None:
    rng = np.random.default_rng(3)
    empty = np.zeros((90, 160), bool)
    pairs = [(blob(rng), blob(rng)) for _ in range(40)] + [(empty, blob(rng)), (blob(rng), empty), (empty, empty)]
    for mask, truth in pairs:
        assert j_and_f(mask, truth) == pytest.approx(theirs.j_and_f(mask, truth), abs=1e-12)
        assert j_and_f(mask[::2, ::2], truth) == pytest.approx(theirs.j_and_f(mask[::2, ::2], truth), abs=1e-12)
    assert j_and_f(None, pairs[0][1]) == theirs.j_and_f(None, pairs[0][1])


@pytest.mark.parametrize(("name", "seed", "noise_px"), [("dog", 1, 10.0), ("a clip", 3, 0.0), ("libby", 2, 40.0)])
def test_gaze_is_that_of_the_acceptance_bench(theirs: ModuleType, name: str, seed: int, noise_px: float) -> None:
    masks = random_masks(30, seed)
    masks[0] = masks[7] = np.zeros_like(masks[0])
    ours = simulate_gaze(Clip(name, (b"",) * 30, (tuple(masks),)), FPS, noise_px, seed)
    np.testing.assert_allclose(ours.points_px, theirs.gaze_trace(name, masks, FPS, noise_px, seed), atol=1e-9)


def test_whole_runs_score_as_in_the_acceptance_bench(theirs: ModuleType) -> None:
    run = played_at([one_clip("a", 20), one_clip("b", 15, 1)])
    rng = np.random.default_rng(5)
    arrivals: list[MaskArrival] = []
    for at_s in np.sort(rng.uniform(99.5, 101.6, 50)):
        mask = blob(rng) if rng.random() < 0.9 else None
        arrivals.append(MaskArrival(float(at_s), mask, int(rng.integers(-1, 36)), float(at_s) + 6.9))
    run.gaze_s = {round(arrival.gaze_s, 4) for arrival in arrivals[::2]}
    feed: Any = SimpleNamespace(
        scored=[(m.at_s, m.clip.name, m.truth) for m in run.moments], fps=FPS, epoch=run.epoch_s,
        sent={k: (s.at_s, s.clip.name, s.clip.objects[0][s.number]) for k, s in run.sent.items()},
        gaze_sent=run.gaze_s,
        clips=[(c.name, c.jpegs, c.objects[0]) for c in dict.fromkeys(s.clip for s in run.sent.values())],
    )  # fmt: skip
    inbox = SimpleNamespace(items=[(a.at_s, a.mask, a.frame, a.gaze_s) for a in arrivals], errors=[])
    expected, found = theirs.score(feed, inbox), pool_scores([score_playback(run, arrivals)])
    for key in ("streaming_jf", "j", "f", "clips", "own_frame_j", "frames_masked", "masks_per_s", "unknown_labels"):
        assert found[key] == expected[key], key
    assert found["frame_to_mask_ms"] == expected["frame_to_mask_ms"]
    assert found["gaze_to_mask_ms"] == expected["gaze_to_mask_ms"]
