"""Tests the properties of decoded candidates."""

import numpy as np
import pytest

from engines import Letterbox, MaskCandidates


def test_a_sharp_edge_is_stable_and_a_slope_is_not():
    sharp = np.full((256, 256), -9, np.float32)
    sharp[50:150, 50:150] = 9
    slope = np.broadcast_to(np.linspace(-4, 4, 256, dtype=np.float32), (256, 256))
    empty = np.full((256, 256), -9, np.float32)
    found = MaskCandidates(np.stack([sharp, slope, empty]), np.ones(3, np.float32), Letterbox(64, 64))
    # Of the slope's columns 3/8 lie above +1 and 5/8 above -1.
    assert found.stability == pytest.approx([1.0, 0.6, 0.0], abs=0.01)


def test_of_four_the_unambiguous_one_is_not_chosen():
    scores = np.array([0.99, 0.5, 0.8, 0.7], np.float32)
    assert MaskCandidates(np.zeros((4, 256, 256), np.float32), scores, Letterbox(64, 64)).best_index == 2
    assert MaskCandidates(np.zeros((1, 256, 256), np.float32), scores[:1], Letterbox(64, 64)).best_index == 0
