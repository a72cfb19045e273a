"""Detected objects are scored and found by names and words, and move with the picture."""

import numpy as np
import pytest

from engines.recognition.base import RecognizedObject
from engines.recognition.coco_names import NAMES
from engines.recognition.detected_objects import DetectedObjects
from engines.recognition.name_words import SYNONYMS, encode_name

SIZE = 160, 120
CUP, DOG = (20.0, 20.0, 60.0, 60.0), (90.0, 30.0, 150.0, 110.0)


def detected(*objects):
    found = []
    for box, name, score in objects:
        scores = np.full(len(NAMES), 0.01, np.float32)
        scores[NAMES.index(name)] = score
        found.append(RecognizedObject(box, NAMES, scores))
    return DetectedObjects(NAMES, tuple(found), SIZE)


def mask_of(box):
    mask = np.zeros((SIZE[1], SIZE[0]), bool)
    x0, y0, x1, y1 = map(int, box)
    mask[y0:y1, x0:x1] = True
    return mask


FOUND = detected((DOG, "dog", 0.9), (CUP, "cup", 0.6))
MASKS = np.stack([mask_of(CUP), mask_of(DOG), mask_of((0, 100, 20, 120)), np.zeros((120, 160), bool)])


@pytest.mark.parametrize(
    ("word", "name"),
    [
        ("cup", "cup"),
        ("Mugs", "cup"),
        ("  DOGS ", "dog"),
        ("sofa", "couch"),
        ("buses", "bus"),
        ("the red mug", "cup"),
        ("Those knives!", "knife"),
        ("cherries", None),
        ("hot dogs", "hot dog"),
        ("my mobile phones", "cell phone"),
        ("glasses case", None),
        ("cup of coffee", "cup"),
        ("the cup on the left, please", "cup"),
        ("bowl of oranges", "bowl"),
        ("a piece of cake", "cake"),
        ("dog with a frisbee", "dog"),
        ("on the left", None),
        ("of", None),
        ("and", None),
        ("чашка", None),
        ("\u2615", None),
        ("unicorn", None),
        ("", None),
    ],
)  # fmt: skip
def test_a_word_means_a_name_or_honestly_none(word, name):
    query = encode_name(word, NAMES)
    assert query.is_known == (name is not None)
    assert [NAMES[k] for k in np.flatnonzero(query.code)] == ([name] if name else [])


def test_masks_have_the_scores_of_the_object_in_their_place():
    names = FOUND.score_names(MASKS)
    assert names.shape == (4, len(NAMES))
    assert names[0, NAMES.index("cup")] == pytest.approx(0.6)
    assert FOUND.score_word(MASKS, encode_name("mug", NAMES)) == pytest.approx([0.6, 0, 0, 0], abs=0.1)
    assert not FOUND.score_word(MASKS, encode_name("unicorn", NAMES)).any()


def test_regions_of_a_word_are_the_surest_first():
    two = detected((CUP, "cup", 0.5), (DOG, "cup", 0.8))
    assert [region.box_px for region in two.find_word(encode_name("cup", NAMES))] == [DOG, CUP]
    assert FOUND.find_word(encode_name("unicorn", NAMES)) == ()
    assert detected().find_word(encode_name("cup", NAMES)) == ()


def test_a_word_may_mean_several_names():
    query = encode_name("bags", NAMES)
    assert {NAMES[k] for k in np.flatnonzero(query.code)} == {"handbag", "backpack", "suitcase"}


@pytest.mark.parametrize("text", ["cup and bottle", "the cups or a bottle", "bottle, mug", "cup & unicorn & bottle"])
def test_joined_words_mean_what_any_of_them_means(text):
    query = encode_name(text, NAMES)
    assert {NAMES[k] for k in np.flatnonzero(query.code)} == {"cup", "bottle"}
    assert query.is_known
    assert set(query.code.tolist()) == {0, 1}


def test_every_synonym_means_names_that_the_detector_knows():
    assert not {name for names in SYNONYMS.values() for name in names} - set(NAMES)
    assert not SYNONYMS.keys() & set(NAMES)


def test_a_word_finds_unsure_boxes_that_are_no_objects_and_moves_them_when_asked():
    sure, unsure = detected((DOG, "dog", 0.9)), detected((CUP, "cup", 0.15), (DOG, "dog", 0.9))
    found = DetectedObjects(NAMES, sure.objects, SIZE, unsure.objects)
    cup = encode_name("cup", NAMES)
    assert [each.name for each in found.objects] == ["dog"]
    assert [region.box_px for region in found.find_word(cup)] == [CUP]
    moved = found.move(np.full((60, 80, 2), (-5.0, 0.0), np.float32))
    again = moved.move(np.full((60, 80, 2), (0.0, -5.0), np.float32))
    assert moved.find_word(cup)[0].box_px == pytest.approx((30, 20, 70, 60))
    assert again.find_word(cup)[0].box_px == pytest.approx((30, 30, 70, 70))
    assert found.move(np.full((60, 80, 2), 500.0, np.float32)).find_word(cup) == ()


def test_objects_move_and_those_that_left_the_picture_go():
    moved = FOUND.move(np.full((60, 80, 2), (-5.0, 0.0), np.float32))
    assert [each.name for each in moved.objects] == ["dog", "cup"]
    assert moved.objects[1].box_px == pytest.approx((30, 20, 70, 60))
    assert FOUND.move(np.full((60, 80, 2), 500.0, np.float32)).objects == ()


def test_boxes_of_a_word_that_overlap_are_one_region_whatever_else_they_may_be():
    beside = (24.0, 20.0, 64.0, 60.0)  # IoU 0.8 with the cup's
    found = detected((CUP, "cup", 0.6), (beside, "bowl", 0.9), (DOG, "dog", 0.9))
    found.objects[1].scores[NAMES.index("cup")] = 0.4
    (region,) = found.find_word(encode_name("cup", NAMES))
    assert (region.box_px, region.score) == (CUP, pytest.approx(0.6))
    assert [each.box_px for each in found.find_word(encode_name("bowl", NAMES))] == [beside]
