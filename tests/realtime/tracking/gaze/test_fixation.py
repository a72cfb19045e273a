"""The geometric median against its definition."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from realtime.tracking.gaze.fixation import geometric_median


def cost(points, at):
    return np.hypot(*(points - at).T).sum()


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 32), st.floats(0.1, 30))
@example(seed=1082, count=18, spread=0.1015625)  # two samples within 0.03 px of the start, not at one place
def test_no_sample_and_no_step_is_a_better_centre(seed, count, spread):
    rng = np.random.default_rng(seed)
    points = rng.normal(500, spread, (count, 2))
    found = geometric_median(points)
    best = min(cost(points, found + step) for step in rng.normal(0, spread / 3, (200, 2)))
    assert cost(points, found) <= min(best, *(cost(points, p) for p in points)) * 1.01 + 0.01


@pytest.mark.parametrize("spread", [0.001, 0.01, 0.1])
def test_it_is_as_exact_in_a_dense_cluster(spread):
    for seed in range(60):
        offsets = np.random.default_rng(seed).normal(0, 1, (18, 2))
        found = (geometric_median(500 + offsets * spread) - 500) / spread
        assert cost(offsets, found) <= min(cost(offsets, p) for p in [*offsets, geometric_median(offsets)]) * 1.02


@pytest.mark.parametrize("outliers", [3, 8, 12])
def test_a_minority_hardly_moves_it(outliers):
    rng = np.random.default_rng(outliers)
    points = np.vstack([rng.normal(100, 3, (32 - outliers, 2)), rng.normal(900, 3, (outliers, 2))])
    assert np.hypot(*(geometric_median(points) - 100)) < 5


def test_equal_points_are_their_own_median():
    assert geometric_median(np.full((10, 2), 7.0)).tolist() == [7.0, 7.0]
