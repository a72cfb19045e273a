"""Which look belongs to which sight of a target."""

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


def looks(times, confidence=0.9):
    times = np.asarray(times, float)
    return GazeSeries(times, np.column_stack([times * 100, times * 0]), np.full(len(times), confidence))


def sights(times):
    times = np.asarray(times, float)
    return TargetSeries(times, np.column_stack([times * 100, times * 0]))


def test_each_sight_gets_the_nearest_look():
    pairs = match_samples("a", sights([1.0, 2.0, 3.0]), looks([0.99, 1.02, 2.04, 3.2]))
    assert pairs.time_s.tolist() == [0.99, 2.04]
    assert pairs.target_px[:, 0].tolist() == [100.0, 200.0]


def test_every_look_gets_the_nearest_sight_when_asked():
    pairs = match_samples("a", sights([1.0, 1.1]), looks(np.arange(0.9, 1.2, 0.01)), every_sample=True)
    assert len(pairs) == 23  # 0.94 to 1.16
    assert np.abs(pairs.gaze_px[:, 0] - pairs.target_px[:, 0]).max() < 100 * MAX_TIME_GAP_S


def test_order_of_arrival_does_not_matter():
    rng = np.random.default_rng(0)
    times = np.arange(0, 2, 0.005)
    shuffled = rng.permutation(times)
    one, other = (
        match_samples("a", sights(np.arange(0, 2, 1 / 30)), looks(times)),
        match_samples("a", sights(np.arange(0, 2, 1 / 30)), looks(shuffled)),
    )
    assert np.array_equal(one.time_s, other.time_s)


def test_looks_without_confidence_are_left_out_and_counted():
    many = looks(np.arange(0, 1, 0.01))
    many.confidence[:25] = 0.5
    pairs = match_samples("a", sights(np.arange(0, 1, 0.04)), many)
    assert pairs.lost == 25
    assert pairs.time_s.min() >= 0.25
    assert compute_discarded_share([pairs]) == pytest.approx(0.25, abs=0.01)


@pytest.mark.parametrize(("seen", "looked"), [([], [1.0]), ([1.0], []), ([1.0], [5.0])])
def test_nothing_to_pair_is_no_error(seen, looked):
    for every_look in (False, True):
        assert len(match_samples("a", sights(seen), looks(looked), every_sample=every_look)) == 0


def test_strays_are_far_from_the_others():
    rng = np.random.default_rng(1)
    points = rng.normal(0, 0.2, (40, 2))
    points[[3, 17]] += 8
    found = np.flatnonzero(find_outliers(points))
    assert {3, 17} <= set(found.tolist())
    assert len(found) <= 4
