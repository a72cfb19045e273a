"""Patches are pooled under masks, compared with words, searched for these, and moved with the picture."""

import numpy as np
import pytest

from engines.recognition.base import WordQuery
from engines.recognition.patch_embeddings import NameVocabulary, PatchEmbeddings

ROWS, COLUMNS, SIZE = 6, 10, (200, 120)
AXES = np.eye(16, dtype=np.float32)
CUP, DOG, WALL, MUG, NEWS = AXES[0], AXES[1], AXES[2], AXES[3], AXES[4]
VOCABULARY = NameVocabulary(("cup", "dog"), np.stack([CUP, DOG, WALL]), 20.0)


def make_patches():
    """A wall, with a cup on 2 x 2 patches on the left and a dog on 2 x 3 on the right."""
    patches = np.tile(WALL, (ROWS, COLUMNS, 1))
    patches[1:3, 1:3], patches[3:5, 6:9] = CUP, DOG
    return PatchEmbeddings(patches, VOCABULARY, SIZE)


def mask_of(rows, columns, cells=20):
    """Mask some patches, on a grid of cells for each patch."""
    mask = np.zeros((ROWS * cells, COLUMNS * cells), bool)
    mask[rows[0] * cells : rows[1] * cells, columns[0] * cells : columns[1] * cells] = True
    return mask


ON_CUP, ON_DOG, ON_WALL, NOWHERE = (
    mask_of(*sides) for sides in (((1, 3), (1, 3)), ((3, 5), (6, 9)), ((0, 1), (0, 10)), ((0, 0), (0, 0)))
)


@pytest.mark.parametrize("cells", [1, 3, 20])
def test_a_mask_is_named_by_what_is_under_it_on_any_grid(cells):
    masks = [mask_of(*sides, cells) for sides in (((1, 3), (1, 3)), ((3, 5), (6, 9)), ((0, 1), (0, 10)))]
    scores = make_patches().score_names(np.stack([*masks, np.zeros_like(masks[0])]))
    assert scores.dtype == np.float32
    assert np.allclose(scores, [[1, 0], [0, 1], [0, 0], [0, 0]], atol=1e-6)


def test_a_word_is_scored_against_the_vocabulary_but_not_against_its_like():
    found, masks = make_patches(), np.stack([ON_CUP, ON_DOG, ON_WALL, NOWHERE])
    assert np.allclose(found.score_word(masks, WordQuery("cup", CUP)), [1, 0, 0, 0], atol=1e-6)
    # What no name explains is shared out evenly; the nearest of many names does not compete.
    nearly_cup = np.float32(0.7) * CUP + np.sqrt(np.float32(1 - 0.49)) * MUG
    many = NameVocabulary(("cup",), np.concatenate([CUP[None], AXES[4:]]), 20.0)
    assert many.score_word(CUP[None], nearly_cup)[0] > 0.99
    assert NameVocabulary(("cup", "dog"), np.stack([CUP, DOG]), 20.0).score_word(CUP[None], nearly_cup)[0] < 0.1


def test_half_of_a_mask_on_an_object_is_half_of_it():
    half = mask_of((1, 3), (1, 5))
    names = PatchEmbeddings(make_patches().patches, NameVocabulary(("cup",), np.stack([CUP, WALL]), 20.0), SIZE)
    assert names.score_names(half[None])[0, 0] == pytest.approx(0.5)


def test_a_word_is_found_where_it_is_the_surest_first():
    found = make_patches()
    (region,) = found.find_word(WordQuery("dog", DOG))
    assert region.score == pytest.approx(1, abs=1e-3)
    assert np.allclose(region.box_px, (6 * 20 - 0.5, 3 * 20 - 0.5, 9 * 20 - 0.5, 5 * 20 - 0.5), atol=10)
    assert found.find_word(WordQuery("news", NEWS)) == ()
    mixed = found.patches.copy()
    mixed[4, 0] = (0.75 * DOG + 0.66 * WALL) / np.hypot(0.75, 0.66)
    two = PatchEmbeddings(mixed, VOCABULARY, SIZE).find_word(WordQuery("dog", DOG))
    assert len(two) == 2
    assert two[0].score > two[1].score
    assert two[0].box_px == region.box_px


def test_patches_move_with_the_picture_and_what_comes_in_is_unknown():
    """Everything has moved by one patch to the right and half a patch down; on another grid."""
    displacement = np.tile(np.float32([-4, -1.5]), (ROWS * 3, COLUMNS * 4, 1))
    moved = make_patches().move(displacement)
    assert moved.size == SIZE
    assert np.allclose(moved.score_names(mask_of((2, 3), (2, 4))[None]), [[1, 0]], atol=1e-6)
    assert not moved.patches[:, 0].any()
    assert not moved.score_names(mask_of((0, 6), (0, 1))[None]).any()
    assert moved.find_word(WordQuery("cup", CUP))
    still = make_patches().move(np.zeros((7, 9, 2), np.float32))
    assert np.allclose(still.patches, make_patches().patches)


def test_a_picture_that_was_left_has_nothing():
    gone = make_patches().move(np.full((4, 4, 2), 1e4, np.float32))
    assert not gone.patches.any()
    assert gone.find_word(WordQuery("cup", CUP)) == ()
    assert gone.objects == ()
