"""Recognized objects are those of the keyframe itself, or move with the picture from the last one that was searched."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.recognition.base import RecognizedObject
from realtime.tracking.keyframe import Keyframe
from realtime.tracking.motion.optical_flow import FlowHistory
from realtime.tracking.recognition_memory import RecognitionMemory, move_box
from realtime.types import Frame

SIZE = 320, 240


def picture(shift):
    """A texture that moves right by so many pixels."""
    texture = np.random.default_rng(0).integers(0, 255, (30, 60, 3)).astype(np.uint8)
    large = np.kron(texture, np.ones((8, 8, 1), np.uint8))
    return np.ascontiguousarray(large[:, 100 - shift : 100 - shift + 320])


def cup(box, score=0.9):
    return RecognizedObject(box, ("cup", "bowl"), np.array([score, 0.1], np.float32))


def memory_of(shifts, objects):
    """A memory whose frames moved, and a keyframe of each; `objects` are those of the first."""
    motion, keyframes = FlowHistory(), []
    for index, shift in enumerate(shifts):
        frame = Frame(picture(shift), index, index / 24, index, index)
        motion.push(frame)
        keyframes.append(Keyframe.from_frame(frame, None, 1, 1, objects if index == 0 else None))
    return RecognitionMemory(motion), keyframes


def test_objects_move_with_the_picture_until_another_keyframe_is_searched():
    memory, (first, second, third) = memory_of([0, 6, 12], (cup((100.0, 80.0, 160.0, 140.0)),))
    assert memory.find_objects(second) == ()  # nothing was searched yet
    assert memory.find_objects(first) == first.objects
    (moved,) = memory.find_objects(third)
    assert np.allclose(moved.box_px, (112, 80, 172, 140), atol=1.5)
    assert (moved.name, moved.score) == ("cup", pytest.approx(0.9))
    memory.reset()
    assert memory.find_objects(third) == ()


def test_a_searched_keyframe_without_objects_ends_the_memory():
    memory, (first, second) = memory_of([0, 0], (cup((100.0, 80.0, 160.0, 140.0)),))
    memory.find_objects(first)
    searched = Keyframe.from_frame(Frame(picture(0), 1, 0.1, 1, 1), None, 1, 1, ())
    assert memory.find_objects(searched) == ()
    assert memory.find_objects(second) == ()


def test_a_sure_and_small_box_is_found_before_an_unsure_and_large_one():
    small, large, far = (100.0, 80.0, 160.0, 140.0), (0.0, 0.0, 319.0, 239.0), (200.0, 10.0, 300.0, 60.0)
    memory, (first,) = memory_of([0], (cup(large, 0.95), cup(far, 0.99), cup(small, 0.6)))
    assert memory.find_box(first, (130.0, 100.0), 10.0).box_px == small
    assert memory.find_box(first, (20.0, 200.0), 10.0).box_px == large
    assert memory_of([0], ())[0].find_box(first, (130.0, 100.0), 10.0) is not None
    memory, (first,) = memory_of([0], (cup(small),))
    assert memory.find_box(first, (20.0, 200.0), 10.0) is None


@given(st.floats(-8, 8), st.floats(-8, 8), st.floats(20, 180), st.floats(20, 120))
def test_a_box_moves_against_the_displacement(dx, dy, x, y):
    box = x, y, x + 60, y + 50
    moved = move_box(box, np.broadcast_to(np.array([dx / 4, dy / 4], np.float32), (60, 80, 2)), SIZE)
    assert np.allclose(moved, np.array(box) - [dx, dy, dx, dy], atol=1e-3)


def test_a_box_that_left_the_picture_is_none():
    displacement = np.full((60, 80, 2), 500, np.float32)
    assert move_box((10.0, 10.0, 60.0, 60.0), displacement, SIZE) is None
