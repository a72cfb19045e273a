"""The geometric median against its definition."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from realtime.tracking.gaze.fixation import MEDIAN_TOLERANCE, geometric_median


def cost(points, at):
    return np.hypot(*(points - at).T).sum()


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 32), st.floats(0.1, 30))
@example(seed=1082, count=18, spread=0.1015625)  # two samples within the tolerance of the start, not at one place
def test_no_sample_and_no_step_is_a_better_centre(seed, count, spread):
    """To the tolerance of the search, a thirtieth of a pixel for every sample."""
    rng = np.random.default_rng(seed)
    points = rng.normal(500, spread, (count, 2))
    found = geometric_median(points)
    best = min(cost(points, found + step) for step in rng.normal(0, spread / 3, (200, 2)))
    assert cost(points, found) <= min(best, *(cost(points, p) for p in points)) * 1.01 + MEDIAN_TOLERANCE * count


@pytest.mark.parametrize("outliers", [3, 8, 12])
def test_a_minority_hardly_moves_it(outliers):
    rng = np.random.default_rng(outliers)
    points = np.vstack([rng.normal(100, 3, (32 - outliers, 2)), rng.normal(900, 3, (outliers, 2))])
    assert np.hypot(*(geometric_median(points) - 100)) < 5


def test_equal_points_are_their_own_median():
    assert geometric_median(np.full((10, 2), 7.0)).tolist() == [7.0, 7.0]
