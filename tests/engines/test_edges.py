"""Tests edges from masks: the parts on drawn masks, the whole on the fake engine; and proposals and boxes."""

import math
from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from engines import Letterbox, Prompt
from engines.automatic_masks import generate_image_masks, run_to_end, segment_prompt, segment_prompts
from engines.automatic_masks.edges import EDGE_SETTINGS, detect_edges, measure_edges, thin_edges
from engines.automatic_masks.proposals import PROPOSAL_SETTINGS, rank_proposals, score_proposal
from engines.automatic_masks.quality import GridCells
from engines.fake import open_fake

SIZE = 256


def disc_logits(radius, steepness=1.0):
    """Logits of a disc in the middle, a cell of which is a pixel of a 256 x 256 picture."""
    y, x = np.mgrid[:SIZE, :SIZE] - (SIZE - 1) / 2
    return (steepness * (radius - np.hypot(x, y))).astype(np.float32)


@pytest.mark.parametrize("radius", [12, 40, 90.5])
def test_the_edge_of_a_mask_is_one_thin_closed_line(radius):
    edges = thin_edges(measure_edges([disc_logits(radius)], Letterbox(SIZE, SIZE)))
    rows, columns = np.nonzero(edges)
    distance = np.hypot(rows - (SIZE - 1) / 2, columns - (SIZE - 1) / 2)
    assert np.abs(distance - radius).max() < 2
    assert 0.8 < len(rows) / (2 * math.pi * radius) < 1.7
    pieces, _ = cv2.connectedComponents((edges > 0).astype(np.uint8), connectivity=8)
    assert pieces == 2


def test_a_sharper_mask_has_a_stronger_edge_and_the_strongest_counts():
    letterbox = Letterbox(SIZE, SIZE)
    soft, sharp = (measure_edges([disc_logits(40, steepness)], letterbox) for steepness in (0.3, 3))
    assert soft.max() < 0.5 * sharp.max()
    both = measure_edges([disc_logits(40, 0.3), disc_logits(40, 3)], letterbox)
    np.testing.assert_allclose(both, np.maximum(soft, sharp), rtol=1e-5)


@pytest.mark.parametrize("sign", [-1, 1])
def test_no_mask_and_the_whole_picture_have_no_edge(sign):
    edges = measure_edges([np.full((SIZE, SIZE), 5.0 * sign, np.float32)], Letterbox(100, 60))
    assert (edges.shape, edges.any()) == ((60, 100), False)
    assert not thin_edges(edges).any()


@pytest.mark.parametrize(("width", "height"), [(90, 200), (1000, 700), (31, 31)])
def test_kept_cells_give_the_edges_of_all_logits(width, height):
    frame = Letterbox(width, height)
    logits = disc_logits(40)
    margin = math.ceil(3 * max(frame.scale) * 0.25) + 1
    np.testing.assert_allclose(
        measure_edges([GridCells.of(logits, margin).logits()], frame), measure_edges([logits], frame), atol=2e-3
    )


@settings(max_examples=60)
@given(hnp.arrays(np.float32, st.tuples(st.integers(1, 12), st.integers(1, 12)), elements=st.floats(0, 1, width=32)))
def test_thinning_keeps_the_strongest_and_adds_nothing(strength):
    thin = thin_edges(strength)
    assert thin.shape == strength.shape
    assert np.isfinite(thin).all()
    smooth = cv2.sepFilter2D(strength, -1, *[np.array([0.25, 0.5, 0.25])] * 2, borderType=cv2.BORDER_REFLECT)
    assert (np.isclose(thin, smooth, atol=1e-5) | (thin == 0)).all()
    assert thin.max() >= 0.99 * smooth.max() - 1e-6


def test_thinning_turned_is_thinning():
    strength = measure_edges([disc_logits(30)], Letterbox(SIZE, SIZE))[::2, ::3]
    np.testing.assert_allclose(thin_edges(strength.T.copy()), thin_edges(strength).T, atol=1e-6)


def test_edges_of_a_picture_lie_on_its_blocks_and_may_be_cancelled():
    image = np.full((160, 200, 3), 128, np.uint8)
    image[30:70, 20:80] = (40, 40, 220)
    encoder, decoder = open_fake()
    steps = detect_edges(encoder, decoder, image, replace(EDGE_SETTINGS, points_per_side=8))
    first = next(steps)
    assert (first.done, first.total) == (0, 64)
    edges = run_to_end(steps)
    assert (edges.shape, edges.dtype, edges.max()) == ((160, 200), np.float32, 1)
    truth = np.zeros((160, 200), np.uint8)
    cv2.rectangle(truth, (20, 30), (79, 69), 1)
    distance = cv2.distanceTransform(1 - truth, cv2.DIST_L2, 3)
    assert distance[edges > 0.3].max() < 6
    assert cv2.distanceTransform((edges <= 0.3).astype(np.uint8), cv2.DIST_L2, 3)[truth > 0].max() < 6
    stopped = detect_edges(encoder, decoder, image, EDGE_SETTINGS)
    next(stopped)
    stopped.close()
    with pytest.raises(StopIteration):
        next(stopped)


def test_proposals_are_the_best_by_confidence_and_stability():
    image = np.random.default_rng(0).integers(0, 255, (60, 80, 3), np.uint8)
    image = cv2.GaussianBlur(image, (0, 0), 6)
    few = replace(PROPOSAL_SETTINGS, points_per_side=4, least_predicted_iou=0)
    found = run_to_end(generate_image_masks(*open_fake(), image, few))
    ranked = rank_proposals(found, 5)
    assert len(ranked) == min(5, len(found))
    scores = [score_proposal(mask) for mask in ranked]
    assert scores == sorted(scores, reverse=True)
    assert min(scores) >= max([score_proposal(mask) for mask in found if mask not in ranked], default=0)


def test_boxes_are_segmented_in_one_batch_as_one_by_one():
    image = np.full((160, 200, 3), 128, np.uint8)
    image[30:70, 20:80] = (40, 40, 220)
    encoder, decoder = open_fake()
    embedding = encoder.encode(image)
    prompts = [Prompt.box(18, 28, 82, 72), Prompt.box(-20, -20, 90, 90), Prompt.click(50, 50)]
    together = segment_prompts(decoder, embedding, prompts)
    for one, prompt in zip(together, prompts, strict=True):
        alone = segment_prompt(decoder, embedding, prompt)
        np.testing.assert_array_equal(one.mask, alone.mask)
        assert one.predicted_iou == pytest.approx(alone.predicted_iou)
    assert segment_prompts(decoder, embedding, []) == ()
