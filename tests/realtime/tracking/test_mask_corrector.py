"""Clicks of a user on the shown mask: at once, over motion and keyframes, and taken back; on a scene of known truth."""

import numpy as np
import pytest

from realtime.errors import CommandRejected
from tests.realtime import scene
from tests.realtime.tracking.test_tracker import World, overlap
from tests.realtime.tracking.test_user_control import AWAY, WITHIN, Ringed, area, masked


def on_ring(index, speed):
    x, y = scene.centre(index, speed)
    return x + 0.75 * scene.RADIUS, y


@pytest.mark.parametrize("is_held", [False, True])
def test_a_corrected_mask_stays_and_moves_with_its_object(is_held):
    world = Ringed(age=4, speed=2.0)
    free = world.run(WITHIN)
    world.tracker.control.hold(is_held)
    x, y = on_ring(world.index - 1, 2.0)
    label = 0 if free.mask[round(y), round(x)] else 1
    assert world.tracker.control.correct([(x, y, label)]) == free.object
    keyframes, results = set(), []
    for index, track in world.play(24, gaze_at=AWAY if is_held else None):
        results.append(track.result)
        keyframes.add(track.result.keyframe.index)
        (click,) = track.result.corrected.clicks
        assert np.hypot(*(np.array(click[:2]) - on_ring(index, 2.0))) < 8, "carried with the picture"
        assert click[2] == label
    assert {m.object for m in results} == {free.object}
    assert {m.corrected.number for m in results} == {1}
    assert len(keyframes) > 3, "decoded again on newer keyframes"
    is_larger = [area(m) > 1.5 * area(free) for m in results]
    is_smaller = [area(m) < 0.7 * area(free) for m in results]
    assert all(is_larger) if label else all(is_smaller), (area(free), [*map(area, results)])
    assert max(map(area, results)) < 1.3 * min(map(area, results)), "from the very next frame on"


def test_corrections_are_taken_back_one_after_the_other():
    world = Ringed(age=2, speed=0.0)
    areas = [area(world.run(WITHIN))]
    ring, middle = on_ring(0, 0.0), scene.centre(0, 0.0)
    for clicks in ([(*ring, 1)], [(*middle, 1), (*ring, 0)]):
        world.tracker.control.correct(clicks)
        areas.append(area(world.run(4)))
    assert len({round(each, -2) for each in areas}) > 1
    for before, count in ((areas[1], 1), (areas[0], 0)):
        world.tracker.control.undo_correction()
        message = world.run(2)
        assert area(message) == pytest.approx(before, rel=0.1)
        assert len(message.corrected.clicks) == message.corrected.number == count
    with pytest.raises(CommandRejected, match="no correction"):
        world.tracker.control.undo_correction()


def test_corrections_end_with_the_object():
    world = World(age=2, speed=0.0)
    first = world.run(WITHIN)
    world.tracker.control.correct([(*scene.centre(0, 0.0), 1)], world.index - 2, first.object)
    assert world.run(2).corrected.number == 1
    other = world.run(WITHIN, gaze_at=AWAY)
    assert other.object != first.object
    assert other.corrected is None
    again = world.run(WITHIN)
    assert (again.object, again.corrected) == (first.object, None)
    assert overlap(world, world.index - 1, again) > 0.7


@pytest.mark.parametrize(
    ("clicks", "frame_index", "object_id", "reason"),
    [
        ([], None, None, "1 to 63 clicks"),
        ([(5.0, 5.0, 1)] * 64, None, None, "1 to 63 clicks"),
        ([(500.0, 5.0, 1)], None, None, "outside the picture"),
        ([(5.0, 5.0, 1)], 10_000, None, "frame 10000 is not known"),
        ([(5.0, 5.0, 1)], None, 99, "object 99 is not on show"),
    ],
)
def test_clicks_that_cannot_be_used_change_nothing(clicks, frame_index, object_id, reason):
    world = World(age=2, speed=0.0)
    before = world.run(WITHIN)
    with pytest.raises(CommandRejected, match=reason):
        world.tracker.control.correct(clicks, frame_index, object_id)
    after = world.run(2)
    assert after.corrected is None
    assert area(after) == area(before)


def test_without_an_object_nothing_is_corrected():
    with pytest.raises(CommandRejected, match="nothing is on show"):
        World().tracker.control.correct([(5.0, 5.0, 1)])


def test_the_same_clicks_give_the_same_masks():
    def play():
        world, results = Ringed(age=3, speed=2.0), masked(Ringed(age=3, speed=2.0).play(1))
        for frames, command in ((14, None), (6, ("correct", [(*on_ring(13, 2.0), 1)])), (6, ("undo_correction",))):
            if command:
                getattr(world.tracker.control, command[0])(*command[1:])
            results += masked(world.play(frames))
        return results

    for one, other in zip(play(), play(), strict=True):
        assert (one is None) == (other is None)
        assert one is None or one.mask is None or np.array_equal(one.mask, other.mask)


@pytest.mark.parametrize("age", [1, 4])
def test_a_box_begins_anew_moves_with_its_object_and_is_taken_back(age):
    world = Ringed(age=age, speed=2.0)
    free = world.run(WITHIN)
    world.tracker.control.hold(True)
    world.tracker.control.correct([(*on_ring(world.index - 1, 2.0), 0)])
    clicked = world.run(3)
    boxed_frame = world.index - 3
    (x, y), r = scene.centre(boxed_frame, 2.0), scene.RADIUS + 1
    assert world.tracker.control.correct([], boxed_frame, free.object, (x - r, y - r, x + r, y + r)) == free.object
    for index, track in world.play(16):
        result = track.result
        assert scene.iou(result.mask, scene.truth(index, 2.0)) > 0.7, index
        assert (result.object, result.corrected.number, result.corrected.clicks) == (free.object, 2, ())
    world.tracker.control.correct([(*on_ring(world.index - 1, 2.0), 1)])
    assert [click[2] for click in world.run(2).corrected.clicks] == [1], "those before the box do not count"
    world.tracker.control.undo_correction()
    assert world.run(2).corrected.clicks == ()
    world.tracker.control.undo_correction()
    again = world.run(2)
    assert ([click[2] for click in again.corrected.clicks], again.corrected.number) == ([0], 1)
    world.tracker.control.undo_correction()
    assert area(clicked) != area(world.run(2))


@pytest.mark.parametrize(
    ("box", "frame_index", "reason"),
    [((500.0, 5.0, 600.0, 9.0), None, "outside the picture"), ((5.0, 5.0, 9.0, 9.0), 10_000, "frame 10000")],
)
def test_boxes_that_cannot_be_used_change_nothing(box, frame_index, reason):
    world = World(age=2, speed=0.0)
    before = world.run(WITHIN)
    with pytest.raises(CommandRejected, match=reason):
        world.tracker.control.correct([], frame_index, None, box)
    after = world.run(2)
    assert (after.corrected, area(after)) == (None, area(before))
