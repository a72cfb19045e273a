"""Every recognizer keeps the same contract, here with random weights in the structure of its own."""

import numpy as np
import pytest

from engines.base import PromptError
from engines.recognition.base import WordRegion
from tests.engines.recognition.clip_files import write_clip
from tests.engines.recognition.nanodet_files import write_nanodet

pytest.importorskip("openvino", reason="OpenVINO is not installed")

SIZE = 160, 96


def open_detector(folder, cache):
    from engines.recognition.detector import ObjectDetector

    write_nanodet(folder)
    return ObjectDetector(folder, side=160)


def open_clip(folder, cache):
    from engines.recognition.clip import ClipRecognizer

    return ClipRecognizer(write_clip(folder), "clip-b32", cache_dir=cache, long_side=8)


@pytest.fixture(scope="module", params=[open_detector, open_clip])
def recognizer(request, tmp_path_factory):
    opened = request.param(tmp_path_factory.mktemp("weights"), tmp_path_factory.mktemp("cache"))
    yield opened
    opened.close()
    opened.close()


@pytest.fixture(scope="module")
def picture():
    return np.random.default_rng(1).integers(0, 255, (SIZE[1], SIZE[0], 3)).astype(np.uint8)


@pytest.fixture
def found(recognizer, picture):
    return recognizer.recognize(picture)


def some_masks():
    masks = np.random.default_rng(2).random((3, 24, 40)) > 0.5
    masks[2] = False
    return masks


def are_scores(values, shape):
    return values.shape == shape and values.dtype == np.float32 and bool((values >= 0).all() and (values <= 1).all())


def test_every_name_is_scored_for_every_mask(found):
    scores = found.score_names(some_masks())
    assert are_scores(scores, (3, len(found.names)))
    assert not scores[2].any()
    assert found.score_names(some_masks()[:0]).shape == (0, len(found.names))


def test_a_word_is_scored_for_every_mask(recognizer, found):
    for word in (found.names[0], "something else", "Größe 🐱"):
        query = recognizer.encode_word(word)
        scores = found.score_word(some_masks(), query)
        assert are_scores(scores, (3,))
        assert scores[2] == 0
        assert query.is_known or not scores.any()
        assert found.score_word(some_masks()[:0], query).shape == (0,)


def test_own_names_are_known_words(recognizer, found):
    assert all(recognizer.encode_word(name).is_known for name in found.names[:3])


def test_regions_of_a_word_are_boxes_the_surest_first(recognizer, found):
    for word in found.names[:8]:
        regions = found.find_word(recognizer.encode_word(word))
        assert all(isinstance(region, WordRegion) and 0 < region.score <= 1 for region in regions)
        assert [region.score for region in regions] == sorted((region.score for region in regions), reverse=True)
        for x0, y0, x1, y1 in (region.box_px for region in regions):
            assert -0.5 <= x0 <= x1 <= SIZE[0] - 0.5
            assert -0.5 <= y0 <= y1 <= SIZE[1] - 0.5


def test_moving_keeps_what_was_found_and_makes_a_new_one(recognizer, found):
    query = recognizer.encode_word(found.names[0])
    before = found.score_word(some_masks(), query)
    still, gone = (found.move(np.full((12, 20, 2), value, np.float32)) for value in (0, 1e5))
    assert np.allclose(still.score_word(some_masks(), query), before, atol=1e-4)
    assert np.array_equal(found.score_word(some_masks(), query), before)
    assert not gone.score_names(some_masks()).any()
    assert gone.find_word(query) == gone.objects == ()
    assert still.names == gone.names == found.names


def test_the_same_picture_gives_the_same_scores(recognizer, picture, found):
    again = recognizer.recognize(picture)
    assert np.array_equal(again.score_names(some_masks()), found.score_names(some_masks()))


def test_pictures_that_are_none_are_refused(recognizer):
    with pytest.raises(PromptError, match="uint8"):
        recognizer.recognize(np.zeros((4, 4), np.uint8))
