"""The test that tells a gain from chance: what it promises holds for every pattern of differences."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from realtime.learning.paired_test import EXACT, compute_p_value

DIFFERENCES = st.lists(st.floats(-1, 1).filter(lambda x: x == 0 or abs(x) > 1e-6), max_size=9)


@pytest.mark.parametrize(
    ("differences", "expected"),
    [
        ([], 1.0),
        ([0.0, 0.0], 1.0),
        ([0.5], 1 / 2),
        ([-0.5], 1.0),
        ([0.3, 0.3, 0.3, 0.3], 1 / 16),
        ([0.3, 0.1, 0.2, 0.3, 0.9], 1 / 32),
        ([0.3, 0.3, 0.3, 0.3, 0.3, -0.1], 2 / 64),
        ([1, -1], 3 / 4),
    ],
)
def test_small_tables(differences, expected):
    assert compute_p_value(differences) == pytest.approx(expected)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(0.001, 1), min_size=1, max_size=8), st.floats(0.01, 0.5))
def test_of_differences_whose_sign_is_chance_no_more_pass_than_are_allowed(sizes, allowed):
    values = [compute_p_value(np.array(signs) * sizes) for signs in product((-1, 1), repeat=len(sizes))]
    assert np.mean([value <= allowed for value in values]) <= allowed + 1e-9


@settings(max_examples=60, deadline=None)
@given(DIFFERENCES, st.floats(0.1, 100), st.randoms())
def test_order_scale_and_units_without_a_difference_count_nothing(differences, scale, random):
    shuffled = [scale * each for each in [*differences, 0.0, 0.0]]
    random.shuffle(shuffled)
    assert compute_p_value(shuffled) == pytest.approx(compute_p_value(differences))


@given(st.lists(st.floats(-1, 1), max_size=4))
def test_four_units_never_suffice(differences):
    assert compute_p_value(differences) > 0.05


def test_many_units_are_drawn_and_agree_with_the_normal_distribution():
    rng = np.random.default_rng(1)
    for shift in (0.0, 0.1, 0.3):
        found = rng.normal(shift, 1, 200)
        z = found.sum() / np.sqrt((found**2).sum())
        tail = float(np.mean(rng.normal(0, 1, 400_000) >= z))
        assert compute_p_value(found) == pytest.approx(tail, abs=0.01)
    assert EXACT < 200
    assert compute_p_value([0.1] * 60) < 0.001
