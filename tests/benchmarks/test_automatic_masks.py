"""Recall counts each labelled object whose nearest mask is good enough."""

import numpy as np
import pytest

from benchmarks.automatic_masks import RecallStatistics, compute_best_ious, compute_box


def patch(x, y, width, height):
    mask = np.zeros((20, 20), bool)
    mask[y : y + height, x : x + width] = True
    return mask


def test_the_nearest_mask_counts_for_every_object():
    truths = [patch(0, 0, 10, 10), patch(12, 12, 4, 4)]
    found = [patch(0, 0, 10, 5), patch(0, 0, 10, 9), patch(12, 12, 2, 2)]
    assert compute_best_ious(found, truths) == pytest.approx([0.9, 0.25])
    assert compute_best_ious([], truths) == [0.0, 0.0]


def test_recall_is_of_objects_and_by_their_size():
    statistics = RecallStatistics()
    statistics.add([patch(0, 0, 10, 5), patch(12, 12, 3, 1)], 2.0, [patch(0, 0, 10, 10), patch(12, 12, 3, 3)])
    statistics.add([], 4.0, [patch(0, 0, 20, 20)])
    fields = statistics.to_fields()
    assert (fields["objects"], fields["recall"], fields["seconds, median"]) == (3, 0.3333, 3.0)
    assert fields["recall by share of the picture"] == {
        "0.01 to 0.05": {"objects": 1, "recall": 0.0},
        "0.05 to 1": {"objects": 2, "recall": 0.5},
    }


def test_a_box_is_of_the_pixels_inside():
    assert compute_box(patch(3, 4, 5, 6)) == (3, 4, 7, 9)
