"""Tests that the time that objects are shown is counted from the frames' times."""

import numpy as np

from realtime.pipeline.observers import FrameResult
from realtime.viewer.shown_objects import ShownObjects
from tests.realtime.recording import object_recordings


def shown_result(number, object_id, state="locked"):
    frame = object_recordings.frame_of(number, jpeg=False)
    return FrameResult(
        frame,
        object_recordings.message_of(frame, object_recordings.Shown(object_id, state), number) if object_id else None,
    )


def test_objects_are_counted_only_while_recording():
    objects = ShownObjects()
    assert not objects.add_result(shown_result(0, 1))
    assert (objects.durations(), objects.has_object(1)) == ([], False)
    objects.start()
    new = [objects.add_result(shown_result(number, 1 if number < 10 else 2)) for number in range(1, 20)]
    assert new == [number in (0, 9) for number in range(19)]
    assert objects.pop_changes() == [(1, 0.32), (2, 0.36)]
    for number in (20, 40, 41):  # too long after the last frame: it is unknown which object was shown between
        objects.add_result(shown_result(number, 2))
    objects.add_result(shown_result(42, 3, "lost"))
    objects.add_result(shown_result(43, 2))
    assert objects.pop_changes() == [(2, 0.44)]
    assert objects.pop_changes() == []
    objects.stop()
    objects.add_result(shown_result(44, 4))
    assert objects.durations() == [(1, 0.32), (2, 0.44)]
    assert objects.has_object(1)
    assert not objects.has_object(3)
    objects.start()
    assert objects.durations() == []


def test_a_frame_without_a_mask_is_not_counted():
    objects = ShownObjects()
    objects.start()
    assert not objects.add_result(FrameResult(object_recordings.frame_of(0, jpeg=False), None))
    assert np.sum(objects.durations()) == 0
