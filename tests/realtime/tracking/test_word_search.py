"""Searches keyframes for a word, once each."""

from types import SimpleNamespace

import numpy as np

from engines.recognition.base import WordQuery, WordRegion
from realtime.tracking.word_search import WordSearch

REGION = WordRegion((10.0, 10.0, 50.0, 60.0), 0.8)


def make_search(recognition):
    return WordSearch(SimpleNamespace(find_recognition=lambda keyframe: recognition))


def make_keyframe(index):
    return SimpleNamespace(index=index, size=(640, 360))


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
