"""The evaluation of edges: matching against all pairings, thinning, and the figures of known edges."""

import itertools

import cv2
import numpy as np
import pytest

pytest.importorskip("scipy")

from benchmarks.zero_shot.boundary_evaluation import count_matches, match_pixels, summarize, thin_mask


def largest_pairing(first, second, radius):
    """Try all pairings of a few pixels."""
    if not first:
        return 0
    rest = largest_pairing(first[1:], second, radius)
    near = [other for other in second if np.hypot(*np.subtract(first[0], other)) <= radius]
    return max([rest, *(1 + largest_pairing(first[1:], [x for x in second if x != each], radius) for each in near)])


@pytest.mark.parametrize("seed", range(12))
def test_the_matching_is_one_to_one_and_the_largest(seed):
    random = np.random.default_rng(seed)
    maps = [random.random((5, 6)) < 0.2 for _ in range(2)]
    matched = match_pixels(*maps, 1.5)
    best = largest_pairing(*([tuple(place) for place in np.argwhere(each)] for each in maps), 1.5)
    assert [int(each.sum()) for each in matched] == [best, best]
    assert not any((each & ~whole).any() for each, whole in zip(matched, maps, strict=True))


def test_thinning_leaves_lines_of_the_same_pieces():
    mask = np.zeros((60, 80), np.uint8)
    cv2.circle(mask, (30, 30), 18, 1, 5)
    cv2.line(mask, (60, 5), (75, 55), 1, 4)
    thin = thin_mask(mask > 0)
    assert not (thin & (mask == 0)).any()
    assert cv2.connectedComponents(thin.astype(np.uint8))[0] == cv2.connectedComponents(mask)[0]
    blocks = itertools.product(range(59), range(79))
    assert sum(thin[y : y + 2, x : x + 2].all() for y, x in blocks) < 5


def test_the_figures_of_right_half_and_wrong_edges():
    truth = np.zeros((100, 100), bool)
    truth[50, 10:90] = truth[20, 10:90] = True
    right = summarize([count_matches(truth.astype(np.float32), [truth, truth])])
    assert (right.ods, right.ois, right.r50) == pytest.approx((1, 1, 1))
    half = truth.copy()
    half[20] = False
    found = summarize([count_matches(half.astype(np.float32) * 0.5, [truth])])
    assert (found.ods, found.r50) == pytest.approx((2 / 3, 0.5))
    assert summarize([count_matches(np.zeros((100, 100), np.float32), [truth])]).ods == 0
