"""Tests the drift correction: learnt from one fixation, bounded, decaying."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from calibration.gaze.drift import HALF_LIFE_S, MAX_OBJECT_DEG, MAX_OFFSET_DEG, DriftCorrection, compute_object_sd_deg
from calibration.gaze.mapping import fit_gaze
from tests.calibration.gaze.trackers import GRID, INNER, Tracker

numbers = st.floats(-50, 50, allow_nan=False)


def test_one_fixation_reduces_a_slip_of_1_5_degrees_below_0_5():
    """Of a calibrated tracker, everywhere in its field, with a fixation as inaccurate as real ones."""
    rng = np.random.default_rng(5)
    before, after = [], []
    for _ in range(40):
        tracker = Tracker.random(rng)
        made = fit_gaze(tracker.measure(GRID) + rng.normal(0, 0.1, GRID.shape), GRID).map
        turn = rng.uniform(0, 2 * math.pi)
        tracker.bias = tracker.bias + 1.5 * np.array([math.cos(turn), math.sin(turn)])
        at = INNER[rng.integers(len(INNER))]
        measured = made.apply(np.median(tracker.samples(rng, at, target_sd=0.2), axis=0)[None])[0]
        drift = DriftCorrection().update(10.0, tuple(at - measured))
        gaze = made.apply(tracker.measure(INNER))
        before.append(np.linalg.norm(gaze - INNER, axis=1).mean())
        after.append(np.linalg.norm(gaze + drift.offset_deg - INNER, axis=1).mean())
    assert np.mean(before) > 1.3
    assert np.mean(after) < 0.5
    assert np.quantile(after, 0.9) < 0.6


@given(st.lists(st.tuples(st.floats(0, 1000), numbers, numbers, st.floats(0.1, 5)), max_size=20))
def test_the_offset_is_bounded_for_any_observations(observations):
    drift, now = DriftCorrection(), 0.0
    for wait, x, y, sd in observations:
        now += wait
        drift = drift.update(now, (x, y), sd)
        assert math.hypot(*drift.offset_deg) <= MAX_OFFSET_DEG + 1e-9
        assert drift.sd_deg >= 0
    assert drift.accepted + drift.rejected == len(observations)


def test_the_offset_decays():
    drift = DriftCorrection().update(0.0, (1.0, 0.0))
    half = drift.decay_to(HALF_LIFE_S)
    assert math.isclose(half.offset_deg[0], drift.offset_deg[0] / 2)
    assert half.sd_deg > drift.sd_deg
    assert math.hypot(*drift.decay_to(20 * HALF_LIFE_S).offset_deg) < 1e-3
    assert drift.decay_to(-5.0).offset_deg == drift.offset_deg


def test_implausible_fixations_are_rejected():
    assert DriftCorrection().update(0.0, (9.0, 0.0)).offset_deg == (0.0, 0.0)
    assert DriftCorrection().update(0.0, (math.nan, 0.0)).rejected == 1


def test_larger_objects_are_less_certain():
    small, large = compute_object_sd_deg(1.0), compute_object_sd_deg(5.0)
    assert small is not None
    assert large is not None
    assert small < large
    assert compute_object_sd_deg(MAX_OBJECT_DEG + 1) is None
    assert compute_object_sd_deg(0.0) is None
    drift = DriftCorrection().update(0.0, (1.0, 0.0), large)
    assert 0 < drift.offset_deg[0] < 0.6
