"""Tests that noisy gaze is smoothed at rest and follows saccades at once."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from realtime.tracking.gaze.gaze_smoother import MAX_GAP_S, GazeSmoother

POINTS = st.lists(st.tuples(st.floats(-90, 90), st.floats(-90, 90), st.floats(-0.1, 1)), max_size=60)


@pytest.mark.parametrize("rate_hz", [10, 30, 60])
def test_noise_at_rest_shrinks(rate_hz):
    rng, smoother = np.random.default_rng(0), GazeSmoother()
    noise = rng.normal(0, 0.8, (int(6 * rate_hz), 2))
    found = np.array([smoother.update(*each, index / rate_hz) for index, each in enumerate(noise)])
    assert found[rate_hz:].std() < 0.6 * noise.std()


def test_a_saccade_is_followed_by_the_second_sample():
    smoother = GazeSmoother()
    for index in range(30):
        smoother.update(0.0, 0.0, index / 30)
    assert smoother.update(10.0, 0.0, 1.0)[0] < 5  # it may be a spike
    assert smoother.update(10.4, 0.0, 1.0 + 1 / 30)[0] == pytest.approx(10.2)


def test_a_spike_is_not_followed():
    smoother = GazeSmoother()
    for index in range(30):
        smoother.update(0.0, 0.0, index / 30)
    smoother.update(12.0, 0.0, 1.0)
    assert abs(smoother.update(0.0, 0.0, 1.0 + 1 / 30)[0]) < 3


def test_after_a_gap_it_begins_anew():
    smoother = GazeSmoother()
    smoother.update(0.0, 0.0, 0.0)
    assert smoother.update(2.0, 1.0, MAX_GAP_S + 0.01) == (2.0, 1.0)


@given(POINTS)
@example([(0.0, 0.0, 0.0), (0.0, 1.0, 2.2e-313)])  # so short a time that a speed overflows
def test_it_stays_within_the_samples(points):
    smoother, at_s = GazeSmoother(), 0.0
    xs = [x for x, _, _ in points]
    for x, y, dt_s in points:
        at_s += dt_s
        assert min(xs) - 1e-6 <= smoother.update(x, y, at_s)[0] <= max(xs) + 1e-6
