"""Recognized objects are those of the keyframe itself, or move with the picture from the last one that was searched."""

import numpy as np
import pytest

from engines.recognition.base import RecognizedObject
from engines.recognition.detected_objects import DetectedObjects
from realtime.tracking.keyframe import Keyframe
from realtime.tracking.motion.optical_flow import FlowHistory
from realtime.tracking.recognition_memory import RecognitionMemory
from realtime.types import Frame

SIZE = 320, 240
NAMES = "cup", "bowl"


def picture(shift):
    """A texture that moves right by so many pixels."""
    texture = np.random.default_rng(0).integers(0, 255, (30, 60, 3)).astype(np.uint8)
    large = np.kron(texture, np.ones((8, 8, 1), np.uint8))
    return np.ascontiguousarray(large[:, 100 - shift : 100 - shift + 320])


def cup(box, score=0.9):
    return RecognizedObject(box, NAMES, np.array([score, 0.1], np.float32))


def memory_of(shifts, objects):
    """A memory whose frames moved, and a keyframe of each; `objects` are those of the first."""
    motion, keyframes = FlowHistory(), []
    for index, shift in enumerate(shifts):
        frame = Frame(picture(shift), index, index / 24, index, index)
        motion.push(frame)
        recognition = DetectedObjects(NAMES, objects, SIZE) if index == 0 else None
        keyframes.append(Keyframe.from_frame(frame, None, 1, 1, recognition))
    return RecognitionMemory(motion), keyframes


def test_objects_move_with_the_picture_until_another_keyframe_is_searched():
    memory, (first, second, third) = memory_of([0, 6, 12], (cup((100.0, 80.0, 160.0, 140.0)),))
    assert memory.find_recognition(second) is None  # nothing was searched yet
    assert memory.find_recognition(first) is first.recognition
    (moved,) = memory.find_recognition(third).objects
    assert np.allclose(moved.box_px, (112, 80, 172, 140), atol=1.5)
    assert (moved.name, moved.score) == ("cup", pytest.approx(0.9))
    memory.reset()
    assert memory.find_recognition(third) is None


def test_a_searched_keyframe_without_objects_ends_the_memory():
    memory, (first, second) = memory_of([0, 0], (cup((100.0, 80.0, 160.0, 140.0)),))
    memory.find_recognition(first)
    searched = Keyframe.from_frame(Frame(picture(0), 1, 0.1, 1, 1), None, 1, 1, DetectedObjects(NAMES, (), SIZE))
    assert memory.find_recognition(searched).objects == ()
    assert memory.find_recognition(second).objects == ()


def test_a_sure_and_small_box_is_found_before_an_unsure_and_large_one():
    small, large, far = (100.0, 80.0, 160.0, 140.0), (0.0, 0.0, 319.0, 239.0), (200.0, 10.0, 300.0, 60.0)
    memory, (first,) = memory_of([0], (cup(large, 0.95), cup(far, 0.99), cup(small, 0.6)))
    assert memory.find_box(first, (130.0, 100.0), 10.0).box_px == small
    assert memory.find_box(first, (20.0, 200.0), 10.0).box_px == large
    assert memory_of([0], ())[0].find_box(first, (130.0, 100.0), 10.0) is not None
    memory, (first,) = memory_of([0], (cup(small),))
    assert memory.find_box(first, (20.0, 200.0), 10.0) is None
