"""Quiet when still, quick when moving."""

import math

import numpy as np
import pytest

from realtime.tracking.gaze.one_euro import OneEuroFilter


def test_at_rest_it_is_a_first_order_low_pass():
    smooth, dt_s, cutoff_hz = OneEuroFilter(2.0, 0.0, 1.0), 1e-4, 2.0
    smooth.reset((0.0, 0.0))
    for _ in range(round(1 / (2 * math.pi * cutoff_hz) / dt_s)):
        x, y = smooth.update(1.0, -1.0, dt_s)
    assert (x, y) == pytest.approx((1 - math.exp(-1), math.exp(-1) - 1), abs=0.01), "after one time constant"


def test_beta_buys_less_lag_for_speed():
    lags = []
    for beta in (0.0, 0.3, 1.0):
        smooth = OneEuroFilter(1.0, beta, 5.0)
        for k in range(400):
            x, _ = smooth.update(20.0 * k / 200, 0.0, 1 / 200)
        lags.append(20.0 * 399 / 200 - x)
    assert lags[0] == pytest.approx(20.0 / (2 * math.pi), rel=0.1)
    assert lags[0] > 3 * lags[1] > 3 * lags[2] > 0


def test_noise_at_rest_is_reduced():
    rng, smooth = np.random.default_rng(0), OneEuroFilter(1.5, 0.02, 1.0)
    seen = rng.normal(0, 0.2, (2000, 2))
    out = np.array([smooth.update(x, y, 1 / 200) for x, y in seen])
    assert out[100:].std() < 0.4 * seen.std()


@pytest.mark.parametrize("dt_s", [0.0, -1.0])
def test_no_time_changes_nothing(dt_s):
    smooth = OneEuroFilter(1.5, 0.3, 1.0)
    smooth.update(1.0, 2.0, 0.1)
    assert smooth.update(50.0, 50.0, dt_s) == (1.0, 2.0)


def test_a_reset_forgets_and_a_shift_does_not():
    smooth = OneEuroFilter(1.5, 0.3, 1.0)
    smooth.update(1.0, 2.0, 0.1)
    smooth.reset()
    assert smooth.update(9.0, 9.0, 0.1) == (9.0, 9.0)
    smooth.position = (0.0, 0.0)
    assert smooth.update(0.0, 0.0, 0.1) == (0.0, 0.0)
