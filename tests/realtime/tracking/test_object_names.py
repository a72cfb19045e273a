"""Shown objects are named by the recognized objects where their masks are, and honestly not at all where none is."""

import gc
import weakref
from types import SimpleNamespace

import numpy as np
import pytest

from engines import MaskCandidates
from engines.letterbox import Letterbox
from engines.recognition.base import RecognizedObject
from engines.recognition.detected_objects import DetectedObjects
from realtime.tracking.motion.optical_flow import FlowHistory
from realtime.tracking.object_names import ObjectNamer
from realtime.tracking.recognition_memory import RecognitionMemory

SIZE = 1024, 1024
NAMES = "cup", "bowl", "dog"


class NamedKeyframe(SimpleNamespace):
    """Can be referred to weakly."""


def keyframe(index, objects):
    recognition = DetectedObjects(NAMES, objects, SIZE)
    return NamedKeyframe(index=index, received_ns=index, size=SIZE, recognition=recognition)


def recognized(box, **scores):
    return RecognizedObject(box, NAMES, np.array([scores.get(name, 0) for name in NAMES], np.float32))


def shown_on(key, box):
    """A mask in the place of a box of the 1024 px picture, as its keyframe's logits."""
    logits = np.full((1, 256, 256), -5, np.float32)
    x0, y0, x1, y1 = (round(side / 4) for side in box)
    logits[0, y0:y1, x0:x1] = 5
    candidates = MaskCandidates(logits, np.ones(1, np.float32), Letterbox(*SIZE))
    return SimpleNamespace(
        provenance=SimpleNamespace(keyframe=key), prompt_result=SimpleNamespace(candidates=candidates), index=0
    )


MUG, FAR = (200.0, 200.0, 400.0, 440.0), (600.0, 600.0, 900.0, 900.0)


def test_an_object_has_the_name_that_is_recognized_in_its_place():
    namer = ObjectNamer(RecognitionMemory(FlowHistory()))
    first = keyframe(0, (recognized(FAR, dog=0.9), recognized(MUG, cup=0.8, bowl=0.3)))
    found = namer.name_object(1, shown_on(first, MUG))
    assert (found.name, found.score) == ("cup", pytest.approx(0.8))
    assert namer.name_object(2, shown_on(first, FAR)).name == "dog"
    assert namer.name_object(3, shown_on(first, (0.0, 0.0, 100.0, 100.0))) is None


def test_one_keyframe_does_not_change_a_name_and_many_do():
    namer = ObjectNamer(RecognitionMemory(FlowHistory()))
    names = ["cup", "cup", "cup", "bowl", *["bowl"] * 8]
    found = [
        namer.name_object(1, shown_on(keyframe(k, (recognized(MUG, **{name: 0.8}),)), MUG)).name
        for k, name in enumerate(names)
    ]
    assert found[:4] == ["cup"] * 4
    assert found[-1] == "bowl"


def test_a_name_is_withdrawn_where_it_is_not_recognized_any_more():
    namer = ObjectNamer(RecognitionMemory(FlowHistory()))
    assert namer.name_object(1, shown_on(keyframe(0, (recognized(MUG, cup=0.6),)), MUG)) is not None
    for k in range(1, 12):
        found = namer.name_object(1, shown_on(keyframe(k, (recognized(FAR, dog=0.9),)), MUG))
    assert found is None


def test_asking_again_on_one_keyframe_changes_nothing():
    namer = ObjectNamer(RecognitionMemory(FlowHistory()))
    shown = shown_on(keyframe(0, (recognized(MUG, cup=0.5),)), MUG)
    assert namer.name_object(1, shown) == namer.name_object(1, shown)


def test_a_keyframe_that_was_not_searched_leaves_a_name_as_it_was_and_makes_none():
    namer = ObjectNamer(RecognitionMemory(FlowHistory()))
    unsearched = SimpleNamespace(index=2, received_ns=2, size=SIZE, recognition=None)
    assert namer.name_object(1, shown_on(unsearched, MUG)) is None
    named = namer.name_object(1, shown_on(keyframe(1, (recognized(MUG, cup=0.5),)), MUG))
    assert namer.name_object(1, shown_on(unsearched, MUG)).name == named.name
    assert namer.name_object(1, shown_on(keyframe(3, ()), MUG)) is None  # searched, and nothing is there any more


def test_another_mask_of_an_object_has_no_name_until_it_is_recognized():
    """Such as the whole table, to which a long look at the mug stepped, or on which the next candidate is."""
    namer, table = ObjectNamer(RecognitionMemory(FlowHistory())), (0.0, 100.0, 1024.0, 1024.0)
    first = keyframe(1, (recognized(MUG, cup=0.5),))
    unsearched = SimpleNamespace(index=2, received_ns=2, size=SIZE, recognition=None)
    nearer = (180.0, 180.0, 420.0, 460.0)
    assert namer.name_object(1, shown_on(first, MUG)).name == "cup"
    assert namer.name_object(1, shown_on(first, table)) is None
    assert namer.name_object(1, shown_on(unsearched, table)) is None
    assert namer.name_object(1, shown_on(unsearched, nearer)).name == "cup"
    found = [namer.name_object(1, shown_on(keyframe(k, (recognized(table, dog=0.9),)), table)) for k in range(3, 9)]
    assert found[-1].name == "dog"


def test_named_objects_keep_no_keyframe():
    """Each holds megabytes, and the names of many objects are kept."""
    namer, memory = ObjectNamer(RecognitionMemory(FlowHistory())), []
    for number in range(9):
        key = keyframe(number, (recognized(MUG, cup=0.8),))
        namer.name_object(number, shown_on(key, MUG))
        memory.append(weakref.ref(key))
    del key
    gc.collect()
    assert sum(each() is not None for each in memory) <= 1  # the newest
