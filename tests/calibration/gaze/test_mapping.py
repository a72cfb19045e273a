"""Tests the map fitted to a few noisy targets, on unknown trackers."""

from __future__ import annotations

import json

import numpy as np
import pytest

from calibration import CalibrationError
from calibration.gaze.calibrated import summarize_targets
from calibration.gaze.mapping import MAP_KINDS, GazeFitError, GazeMap, fit_gaze
from calibration.gaze.matching import GazePairs
from calibration.gaze.view import FlatView
from tests.calibration.gaze.trackers import GRID, INNER, Tracker

VIEW = FlatView((1000, 600))


def make_targets(rng, tracker, **noise):
    """Simulate the choreography's gaze at targets, 40 samples each."""
    pairs = []
    for number, at in enumerate(GRID):
        gaze = VIEW.to_pixels(tracker.samples(rng, at, **noise))
        target = np.repeat(VIEW.to_pixels(at[None]), len(gaze), 0)
        pairs.append(GazePairs(str(number), np.arange(len(gaze)) / 30, gaze, target, 0, len(gaze)))
    return summarize_targets(pairs, VIEW)


def left_over(tracker, gaze_map):
    """Compute the mean error, degrees, on targets that were not calibrated."""
    return np.linalg.norm(gaze_map.apply(tracker.measure(INNER)) - INNER, axis=1).mean()


@pytest.mark.parametrize("target_sd", [2**-0.5, 1.0], ids=["1 degree over both axes", "1 degree on each axis"])
def test_random_trackers_are_off_by_less_than_0_6_degrees_and_no_fixed_model_does_better(target_sd):
    """3 degrees of bias, gain, shear, bend, targets off by 1 degree, samples by 0.2, 5 % anywhere; 9 targets."""
    rng = np.random.default_rng(6)
    found = {name: [] for name in ("chosen", "offset", "affine", "quadratic")}
    for _ in range(80):
        tracker = Tracker.random(rng)
        targets = make_targets(rng, tracker, target_sd=target_sd)
        for name, errors in found.items():
            kinds = MAP_KINDS if name == "chosen" else (name,)
            errors.append(left_over(tracker, fit_gaze(targets.gaze_deg, targets.target_deg, kinds).map))
    means = {name: float(np.mean(errors)) for name, errors in found.items()}
    print(means)
    assert means["chosen"] <= 0.6, means
    assert means["chosen"] <= min(mean for name, mean in means.items() if name != "chosen"), means


def test_a_bend_without_noise_is_fitted_exactly():
    tracker = Tracker.random(np.random.default_rng(1), bend_deg=1.0)
    fit = fit_gaze(tracker.measure(GRID), GRID)
    assert fit.map.kind == "quadratic"
    assert left_over(tracker, fit.map) < 0.1


def test_a_bias_without_noise_is_an_offset():
    fit = fit_gaze(GRID + np.array([2.0, -1.0]), GRID)
    assert fit.map.kind == "offset"
    assert np.allclose(fit.map.apply(np.array([[3.0, 3.0]])), [[1.0, 4.0]], atol=1e-6)


def test_a_target_that_was_not_fixated_does_not_count():
    rng = np.random.default_rng(2)
    tracker = Tracker.random(rng)
    gaze = tracker.measure(GRID) + rng.normal(0, 0.3, GRID.shape)
    gaze[3] += (8.0, 6.0)
    fit = fit_gaze(gaze, GRID)
    assert np.flatnonzero(fit.target_weights == 0).tolist() == [3]
    assert left_over(tracker, fit.map) < 0.4


@pytest.mark.parametrize(
    ("targets", "reason"),
    [
        (GRID[:3], "3 usable targets are too few"),
        (GRID * 0.15, "clustered within"),
        (np.array([[x, 0.3 * x] for x in np.linspace(-15, 15, 9)]), "along one line"),
        (np.array([[x, 0.0] for x in np.linspace(-15, 15, 9)]), "along one line"),
        (np.where(np.arange(9)[:, None] == 4, np.nan, GRID), "not a number"),
    ],
)
def test_insufficient_targets_are_refused(targets, reason):
    with pytest.raises(GazeFitError, match=reason):
        fit_gaze(targets + 1.0, targets)


def test_beyond_the_hull_is_marked_and_not_wild():
    tracker = Tracker.random(np.random.default_rng(3), bend_deg=2.0)
    made = fit_gaze(tracker.measure(GRID), GRID).map
    inside, far = tracker.measure(np.zeros((1, 2))), np.array([[200.0, 150.0]])
    assert made.distance_outside_deg(inside)[0] == 0
    assert made.distance_outside_deg(far)[0] > 150
    assert np.linalg.norm(made.apply(far) - far) < 12  # as at the edge, not as a quadratic at ten times the distance
    assert made.error_deg(far)[0] > made.error_deg(inside)[0]


def test_the_error_that_it_expects_is_about_the_one_that_it_has():
    rng = np.random.default_rng(4)
    expected, found = [], []
    for _ in range(60):
        tracker = Tracker.random(rng)
        fit = fit_gaze(tracker.measure(GRID) + rng.normal(0, 0.7, GRID.shape), GRID)
        gaze = tracker.measure(INNER)
        expected.append((fit.map.error_deg(gaze) ** 2).mean())
        found.append((np.linalg.norm(fit.map.apply(gaze) - INNER, axis=1) ** 2).mean())
    assert 0.7 < np.sqrt(np.mean(expected) / np.mean(found)) < 1.4


def test_it_can_be_written_and_read():
    made = fit_gaze(GRID * 1.05 + 1.0, GRID).map
    read = GazeMap.from_dict(json.loads(json.dumps(made.to_dict())))
    assert np.array_equal(read.apply(INNER), made.apply(INNER))


@pytest.mark.parametrize(
    "change",
    [{"kind": "cubic"}, {"weights": [[0, 0], [0, 0]]}, {"scale_deg": [0, 1]}, {"hull_deg": []}, {"centre_deg": "x"}],
)
def test_invalid_maps_are_refused(change):
    with pytest.raises(CalibrationError, match="no gaze map"):
        GazeMap.from_dict(fit_gaze(GRID + 1.0, GRID).map.to_dict() | change)
