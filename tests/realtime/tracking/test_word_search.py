"""Searches keyframes for a word once each, and merges what was found in several."""

from types import SimpleNamespace

import numpy as np
import pytest

from engines.recognition.base import WordQuery, WordRegion
from realtime.tracking.word_evidence import merge_regions
from realtime.tracking.word_search import WordSearch

REGION = WordRegion((10.0, 10.0, 50.0, 60.0), 0.8)


def make_search(recognition, motion_px=0.0):
    still = SimpleNamespace(trace_back=lambda newer, older: [np.full((36, 64, 2), motion_px, np.float32)])
    return WordSearch(SimpleNamespace(find_recognition=lambda keyframe: recognition), still)


def make_keyframe(index, is_searched=True):
    return SimpleNamespace(index=index, size=(640, 360), recognition=object() if is_searched else None)


def test_a_keyframe_is_searched_once_for_each_word():
    searched = []
    recognition = SimpleNamespace(find_word=lambda query: searched.append(query.text) or (REGION,))
    search = make_search(recognition)
    first, second = make_keyframe(0), make_keyframe(1)
    assert search.find_regions(first) == ()
    for text in ("cup", "bowl"):
        search.set_query(WordQuery(text, np.ones(1, np.float32)), None)
        for keyframe in (first, first, second, second):
            assert search.find_regions(keyframe) == (REGION,)
            assert search.describe(keyframe).is_found
    assert searched == ["cup", "cup", "bowl", "bowl"]
    search.set_query(None, None)
    assert search.find_regions(second) == ()


def test_what_is_not_found_again_keeps_a_low_score_for_a_while():
    found = [(REGION,), (), (), ()]
    recognition = SimpleNamespace(find_word=lambda query: found.pop(0))
    search = make_search(recognition)
    search.set_query(WordQuery("cup", np.ones(1, np.float32)), None)
    scores = [[each.score for each in search.find_regions(make_keyframe(index))] for index in range(4)]
    assert scores == [[0.8], [pytest.approx(0.07)], [pytest.approx(0.049)], []]


def test_a_keyframe_that_is_not_searched_has_the_regions_of_the_last_one_moved():
    recognition = SimpleNamespace(find_word=lambda query: (REGION,))
    search = make_search(recognition, motion_px=-2.0)
    search.set_query(WordQuery("cup", np.ones(1, np.float32)), None)
    assert search.find_regions(make_keyframe(0)) == (REGION,)
    (moved,) = search.find_regions(make_keyframe(1, is_searched=False))
    assert moved.score == REGION.score
    assert moved.box_px == pytest.approx((30.0, 30.0, 70.0, 80.0))


def test_merging_averages_what_is_found_again_by_its_scores():
    near = WordRegion((14.0, 10.0, 54.0, 60.0), 0.2)
    far = WordRegion((300.0, 10.0, 340.0, 60.0), 0.1)
    merged, other = merge_regions((REGION,), (near, far))
    assert other == far
    assert merged.score == pytest.approx(0.5)
    assert merged.box_px == pytest.approx((10.8, 10.0, 50.8, 60.0))
    assert merge_regions((), (near, far)) == (near, far)
    first, second = merge_regions((REGION,), (REGION, near))
    assert (first.score, second) == (pytest.approx(0.8), near), "one earlier region is one object"
