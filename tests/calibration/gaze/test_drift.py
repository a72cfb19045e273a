"""What has slipped since: learnt from one look, bounded, forgotten."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from calibration.gaze import DriftCorrection, fit_gaze, object_sd_deg
from calibration.gaze.drift import BOUND_DEG, HALF_LIFE_S, LARGEST_OBJECT_DEG
from tests.calibration.gaze.trackers import GRID, INNER, Tracker

numbers = st.floats(-50, 50, allow_nan=False)


def test_a_slip_of_1_5_degrees_is_brought_under_0_5_by_one_look():
    """Of a calibrated tracker, everywhere in its field, and the look itself is no better than eyes are."""
    rng = np.random.default_rng(5)
    before, after = [], []
    for _ in range(40):
        tracker = Tracker.random(rng)
        made = fit_gaze(tracker.says(GRID) + rng.normal(0, 0.1, GRID.shape), GRID).map
        turn = rng.uniform(0, 2 * math.pi)
        tracker.bias = tracker.bias + 1.5 * np.array([math.cos(turn), math.sin(turn)])
        at = INNER[rng.integers(len(INNER))]
        seen = made.apply(np.median(tracker.samples(rng, at, target_sd=0.2), axis=0)[None])[0]
        drift = DriftCorrection().observed(10.0, tuple(at - seen))
        gaze = made.apply(tracker.says(INNER))
        before.append(np.linalg.norm(gaze - INNER, axis=1).mean())
        after.append(np.linalg.norm(gaze + drift.offset_deg - INNER, axis=1).mean())
    assert np.mean(before) > 1.3
    assert np.mean(after) < 0.5
    assert np.quantile(after, 0.9) < 0.6


@given(st.lists(st.tuples(st.floats(0, 1000), numbers, numbers, st.floats(0.1, 5)), max_size=20))
def test_it_is_bounded_whatever_is_observed(observations):
    drift, now = DriftCorrection(), 0.0
    for wait, x, y, sd in observations:
        now += wait
        drift = drift.observed(now, (x, y), sd)
        assert math.hypot(*drift.offset_deg) <= BOUND_DEG + 1e-9
        assert drift.sd_deg >= 0
    assert drift.taken + drift.refused == len(observations)


def test_it_is_forgotten():
    drift = DriftCorrection().observed(0.0, (1.0, 0.0))
    half = drift.decayed(HALF_LIFE_S)
    assert math.isclose(half.offset_deg[0], drift.offset_deg[0] / 2)
    assert half.sd_deg > drift.sd_deg
    assert math.hypot(*drift.decayed(20 * HALF_LIFE_S).offset_deg) < 1e-3
    assert drift.decayed(-5.0).offset_deg == drift.offset_deg


def test_what_cannot_be_is_refused():
    assert DriftCorrection().observed(0.0, (9.0, 0.0)).offset_deg == (0.0, 0.0)
    assert DriftCorrection().observed(0.0, (math.nan, 0.0)).refused == 1


def test_things_say_less_the_larger_they_are():
    small, large = object_sd_deg(1.0), object_sd_deg(5.0)
    assert small is not None
    assert large is not None
    assert small < large
    assert object_sd_deg(LARGEST_OBJECT_DEG + 1) is None
    assert object_sd_deg(0.0) is None
    drift = DriftCorrection().observed(0.0, (1.0, 0.0), large)
    assert 0 < drift.offset_deg[0] < 0.6
