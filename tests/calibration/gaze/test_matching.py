"""Tests which gaze sample is paired with which detection of a target."""

from __future__ import annotations

import numpy as np
import pytest

from calibration.gaze.matching import (
    MAX_TIME_GAP_S,
    GazeSeries,
    TargetSeries,
    compute_discarded_share,
    find_outliers,
    match_samples,
)


def gaze_series(times, confidence=0.9):
    times = np.asarray(times, float)
    return GazeSeries(times, np.column_stack([times * 100, times * 0]), np.full(len(times), confidence))


def target_series(times):
    times = np.asarray(times, float)
    return TargetSeries(times, np.column_stack([times * 100, times * 0]))


def test_each_detection_gets_the_nearest_sample():
    pairs = match_samples("a", target_series([1.0, 2.0, 3.0]), gaze_series([0.99, 1.02, 2.04, 3.2]))
    assert pairs.time_s.tolist() == [0.99, 2.04]
    assert pairs.target_px[:, 0].tolist() == [100.0, 200.0]


def test_every_sample_gets_the_nearest_detection_when_asked():
    pairs = match_samples("a", target_series([1.0, 1.1]), gaze_series(np.arange(0.9, 1.2, 0.01)), every_sample=True)
    assert len(pairs) == 23  # 0.94 to 1.16
    assert np.abs(pairs.gaze_px[:, 0] - pairs.target_px[:, 0]).max() < 100 * MAX_TIME_GAP_S


def test_order_of_arrival_does_not_matter():
    rng = np.random.default_rng(0)
    times = np.arange(0, 2, 0.005)
    shuffled = rng.permutation(times)
    one, other = (
        match_samples("a", target_series(np.arange(0, 2, 1 / 30)), gaze_series(times)),
        match_samples("a", target_series(np.arange(0, 2, 1 / 30)), gaze_series(shuffled)),
    )
    assert np.array_equal(one.time_s, other.time_s)


def test_low_confidence_samples_are_left_out_and_counted():
    many = gaze_series(np.arange(0, 1, 0.01))
    many.confidence[:25] = 0.5
    pairs = match_samples("a", target_series(np.arange(0, 1, 0.04)), many)
    assert pairs.lost == 25
    assert pairs.time_s.min() >= 0.25
    assert compute_discarded_share([pairs]) == pytest.approx(0.25, abs=0.01)


@pytest.mark.parametrize(("target_times", "gaze_times"), [([], [1.0]), ([1.0], []), ([1.0], [5.0])])
def test_nothing_to_pair_is_no_error(target_times, gaze_times):
    for every_sample in (False, True):
        assert (
            len(match_samples("a", target_series(target_times), gaze_series(gaze_times), every_sample=every_sample))
            == 0
        )


def test_outliers_are_far_from_the_others():
    rng = np.random.default_rng(1)
    points = rng.normal(0, 0.2, (40, 2))
    points[[3, 17]] += 8
    found = np.flatnonzero(find_outliers(points))
    assert {3, 17} <= set(found.tolist())
    assert len(found) <= 4
