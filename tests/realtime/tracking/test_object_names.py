"""Shown objects are named by the recognized objects where their masks are, and honestly not at all where none is."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines import MaskCandidates
from engines.letterbox import Letterbox
from engines.recognition.base import RecognizedObject
from realtime.tracking.motion.optical_flow import FlowHistory
from realtime.tracking.object_names import ObjectNamer, measure_box, measure_box_iou
from realtime.tracking.recognition_memory import RecognitionMemory

SIZE = 1024, 1024
BOXES = st.tuples(st.floats(0, 90), st.floats(0, 90), st.floats(1, 99), st.floats(1, 99)).map(
    lambda b: (b[0], b[1], b[0] + b[2], b[1] + b[3])
)


def keyframe(index, objects):
    return SimpleNamespace(index=index, size=SIZE, objects=objects)


def recognized(box, **scores):
    return RecognizedObject(
        box, ("cup", "bowl", "dog"), np.array([scores.get(n, 0) for n in ("cup", "bowl", "dog")], np.float32)
    )


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


def test_nothing_recognized_leaves_a_name_as_it_was_and_makes_none():
    namer = ObjectNamer(RecognitionMemory(FlowHistory()))
    assert namer.name_object(1, shown_on(keyframe(0, ()), MUG)) is None
    named = namer.name_object(1, shown_on(keyframe(1, (recognized(MUG, cup=0.5),)), MUG))
    assert namer.name_object(1, shown_on(keyframe(2, ()), MUG)) == named


@given(BOXES, BOXES)
def test_the_iou_of_boxes_is_symmetric_and_a_share(one, two):
    assert measure_box_iou(one, two) == pytest.approx(measure_box_iou(two, one))
    assert 0 <= measure_box_iou(one, two) <= 1 + 1e-9
    assert measure_box_iou(one, one) == pytest.approx(1)


def test_the_box_of_a_mask_is_in_the_pictures_pixels():
    mask = np.zeros((30, 40), bool)
    assert measure_box(mask, (80, 60)) is None
    mask[3:6, 10:20] = True
    assert measure_box(mask, (80, 60)) == (19.5, 5.5, 39.5, 11.5)
