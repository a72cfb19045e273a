"""Tests the scores of gaze switches on made-up runs."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.streaming_eval.clips import Clip
from benchmarks.streaming_eval.gaze_switches import NOTHING, is_on_object, pool_switches, score_switches
from benchmarks.streaming_eval.playback import (
    WARM_UP_FRAMES,
    GazeDwell,
    MaskArrival,
    PlaybackLog,
    ScoredMoment,
    SentFrame,
)
from engines import Mask
from tests.benchmarks.drawn import SHAPE, disc

FPS = 20.0
LEFT, RIGHT = disc(40, 45, 20), disc(120, 45, 20)
OBJECTS = (LEFT, RIGHT)
COUNT = 80  # 4 s: left 0 to 1 s, right to 2 s, left to 3 s, right to 4 s


@pytest.mark.parametrize(
    ("mask", "expected"),
    [
        (LEFT, 0),
        (RIGHT, 1),
        (disc(40, 45, 6), 0),  # a part sits on its whole
        (disc(40, 45, 26), 0),
        (disc(80, 45, 10), NOTHING),
        (disc(40, 45, 35), NOTHING),  # mostly elsewhere
        (np.ones(SHAPE, bool), NOTHING),
        (np.zeros(SHAPE, bool), NOTHING),
        (None, NOTHING),
    ],
)
def test_sits_on(mask: Mask | None, expected: int) -> None:
    assert is_on_object(mask, OBJECTS) == expected


def run_of() -> PlaybackLog:
    clip = Clip("l+r", (b"",) * COUNT, tuple((one,) * COUNT for one in OBJECTS))
    played = PlaybackLog(FPS)
    played.sent = {i: SentFrame(10 + i / FPS, clip, i, 1) for i in range(COUNT)}
    played.dwells = [GazeDwell(1, k % 2, 10.0 + k, 11.0 + k, first=k == 0) for k in range(4)]
    for number in range(WARM_UP_FRAMES, COUNT):
        end_s = (number + 1) / FPS
        played.moments.append(ScoredMoment(10 + end_s, clip, number, int(end_s) % 2, 1))
    return played


def following(delay_s: float, ids: tuple[int, ...] = (1, 2, 1, 2)) -> list[MaskArrival]:
    """Make a mask per frame, of the object that was fixated `delay_s` before, with an id for each stay."""
    out = []
    for i in range(COUNT):
        at_s = i / FPS + 0.001
        stay = min(3, max(0, int(at_s - delay_s)))
        out.append(MaskArrival(10 + at_s, OBJECTS[stay % 2], i, 0.0, ids[stay]))
    return out


def test_a_quick_one_makes_no_errors() -> None:
    found = pool_switches([score_switches(run_of(), following(0.1))])
    assert found["saccades"] == 3
    assert found["first_right_ms"]["p50"] == pytest.approx(101, abs=1)
    assert (found["never_right"], found["stale"], found["strays"], found["renamed"]) == (0.0, 0.0, 0.0, 0.0)
    assert found["recalled"] == 1.0


def test_a_slow_program_is_on_the_wrong_object() -> None:
    found = pool_switches([score_switches(run_of(), following(0.6))])
    assert found["first_right_ms"]["p50"] == pytest.approx(601, abs=1)
    # of the 0.75 s after the reaction window 0.35 s
    assert found["stale"] == pytest.approx(0.35 / 0.75, abs=0.07)
    assert found["strays"] == 0.0


def test_one_that_does_not_follow_never_is_right() -> None:
    arrivals = [MaskArrival(10.001 + i / FPS, LEFT, i, 0.0, 1) for i in range(COUNT)]
    found = pool_switches([score_switches(run_of(), arrivals)])
    # Of three saccades two lead away from it.
    assert found["never_right"] == pytest.approx(2 / 3, abs=1e-3)
    assert found["first_right_ms"] == {"p50": None, "p95": None}
    assert len(found["first_right_ms_each"]) == 1


def test_a_change_while_the_eyes_stay_is_a_stray_once_each_time() -> None:
    arrivals = following(0.1)
    for i in range(52, 56):  # within the third stay, on the left object
        arrivals[i] = MaskArrival(arrivals[i].at_s, RIGHT, i, 0.0, 1)
    found = score_switches(run_of(), arrivals)
    assert found.strays == [0, 0, 1, 0]
    assert sum(found.stale) == 4


def test_new_ids_of_the_same_object_are_counted() -> None:
    forgotten = pool_switches([score_switches(run_of(), following(0.1, ids=(1, 2, 3, 4)))])
    assert forgotten["recalled"] == 0.0
    arrivals = following(0.1)
    arrivals[30] = MaskArrival(arrivals[30].at_s, RIGHT, 30, 0.0, 9)
    assert score_switches(run_of(), arrivals).renamed == [0, 2, 0, 0]


def test_a_run_without_masks_counts_no_switches() -> None:
    found = pool_switches([score_switches(run_of(), [])])
    assert found["stale"] == 0.0
    assert found["elsewhere"] == 1.0
    assert found["never_right"] == 1.0
    assert found["recalled"] is None


def test_the_timeline_has_the_fixated_and_the_covered_object() -> None:
    line = score_switches(run_of(), following(0.1)).timeline
    assert len(line["at_s"]) == COUNT - WARM_UP_FRAMES
    assert set(line["looked_at"]) == {0, 1}
    same = [a == b for a, b in zip(line["looked_at"], line["sits_on"], strict=True)]
    assert 0.8 < np.mean(same) < 1.0
