"""What was on show since a recording began is counted in the time of the frames."""

import numpy as np

from realtime.pipeline.observers import FrameResult
from realtime.viewer.shown_objects import ShownObjects
from tests.realtime.recording import looked


def shown(number, thing, state="locked"):
    frame = looked.frame_of(number, jpeg=False)
    return FrameResult(frame, looked.message_of(frame, looked.Shown(thing, state), number) if thing else None)


def test_only_what_is_on_show_while_it_records_is_counted():
    roll = ShownObjects()
    assert not roll.add(shown(0, 1))
    assert (roll.everything(), roll.knows(1)) == ([], False)
    roll.begin()
    new = [roll.add(shown(number, 1 if number < 10 else 2)) for number in range(1, 20)]
    assert new == [number in (0, 9) for number in range(19)]
    assert roll.changes() == [(1, 0.32), (2, 0.36)]
    for number in (20, 40, 41):  # too long after the last, nobody knows what was on show between
        roll.add(shown(number, 2))
    roll.add(shown(42, 3, "lost"))
    roll.add(shown(43, 2))
    assert roll.changes() == [(2, 0.44)]
    assert roll.changes() == []
    roll.end()
    roll.add(shown(44, 4))
    assert roll.everything() == [(1, 0.32), (2, 0.44)]
    assert roll.knows(1)
    assert not roll.knows(3)
    roll.begin()
    assert roll.everything() == []


def test_a_frame_without_a_mask_is_nobodys():
    roll = ShownObjects()
    roll.begin()
    assert not roll.add(FrameResult(looked.frame_of(0, jpeg=False), None))
    assert np.sum(roll.everything()) == 0
