"""A hand steers what the eyes choose: part and whole, hold, clear; on a scene whose truth is known."""

import cv2
import numpy as np
import pytest

from engines import MaskCandidates
from engines.letterbox import Letterbox
from realtime.errors import CommandRejected
from realtime.tracking.mask_selection import SelectionSettings
from realtime.tracking.settings import TrackerSettings
from realtime.tracking.user_control import find_next_level
from tests.realtime import scene
from tests.realtime.tracking.test_tracker import World, overlap

AWAY = (20.0, 220.0)
WITHIN = 16


def candidates(*areas):
    """Candidates that fill so many cells of the grid."""
    logits = np.full((len(areas), 256, 256), -1.0, np.float32)
    for mask, area in zip(logits, areas, strict=True):
        mask.reshape(-1)[:area] = 1.0
    return MaskCandidates(logits, np.full(len(areas), 0.9, np.float32), Letterbox(320, 240))


@pytest.mark.parametrize(
    ("areas", "index", "step", "found"),
    [
        ((500, 100, 400, 900), 1, 1, (2, 1)),
        ((500, 100, 400, 900), 2, 1, (3, 2)),
        ((500, 100, 400, 900), 3, 1, (3, 2)),  # there is nothing larger
        ((500, 100, 400, 900), 3, -1, (2, 1)),
        ((500, 100, 400, 900), 1, -1, (1, 0)),
        ((500, 900, 100, 400), 1, -1, (3, 1)),  # in whatever order they come
        ((500, 100, 400, 900), 0, 1, (3, 2)),  # from the mask that is none of the three
        ((500, 100, 400, 900), 0, -1, (2, 1)),
        ((500, 400, 402, 900), 1, 1, (3, 2)),  # an equal mask is passed over
        ((500, 400, 402, 404), 1, 1, (3, 2)),
        ((500,), 0, 1, None),
    ],
)
def test_a_step_goes_to_the_next_mask_that_differs(areas, index, step, found):
    assert find_next_level(candidates(*areas), areas[index], step) == found


class Ringed(World):
    """A world with a part and a whole."""

    def play(self, frames, **options):
        for _ in range(frames):
            yield from super().play(1, image=scene.ringed(self.index, self.speed), **options)


def area(message):
    return int(message.mask.sum())


def masked(tracks):
    return [track.result for _, track in tracks]


def test_level_steps_apply_at_once_and_persist():
    world = Ringed(age=2, speed=1.0)
    free = area(world.run(WITHIN))
    sizes = {}
    for step in (-1, -1, 1, 1):
        world.tracker.control.step_level(step)
        results = masked(world.play(8))
        assert all(m.object == 1 for m in results)
        assert max(map(area, results)) < 1.1 * min(map(area, results)), "from the very next frame on"
        sizes[step] = area(results[-1])
    assert sizes[1] > 2 * sizes[-1]
    assert free in range(round(0.9 * sizes[-1]), round(1.1 * sizes[1]))


def test_two_steps_between_two_frames_are_two():
    once, twice = Ringed(age=2, speed=0.0), Ringed(age=2, speed=0.0)
    for world in (once, twice):
        world.run(WITHIN)
        world.tracker.control.step_level(-1)
        world.tracker.control.step_level(-1)
        small = area(world.run(1))
        world.tracker.control.step_level(1)
        if world is once:
            world.run(1)
        world.tracker.control.step_level(1)
    areas = [area(world.run(1)) for world in (once, twice)]
    assert areas[1] == pytest.approx(areas[0], rel=0.02)
    assert areas[1] > 2 * small


def test_a_step_applies_to_the_held_object():
    """As a mouse is that presses the button."""
    world = Ringed(age=2, speed=0.0)
    world.run(WITHIN)
    world.tracker.control.step_level(1)
    whole = area(world.run(2))
    world.run(2, gaze=False)
    world.tracker.control.step_level(-1)
    away = masked(world.play(3, gaze=False))
    assert {m.state for m in away} == {"held"}
    assert max(map(area, away)) < 0.5 * whole
    assert area(world.run(12)) < 0.5 * whole, "and when they are back"


def test_a_step_is_reset_by_another_object():
    world = Ringed(age=2, speed=0.0)
    world.run(WITHIN)
    world.tracker.control.step_level(-1)
    world.run(4)
    assert world.tracker._shown.fixed_level is not None
    assert world.run(16, gaze_at=AWAY).object == 2
    assert world.tracker._shown.fixed_level is None


def test_hold_and_step_without_a_shown_object():
    world = World()
    world.tracker.control.step_level(1)
    world.tracker.control.clear()
    with pytest.raises(CommandRejected):
        world.tracker.control.hold(True)
    world.tracker.control.hold(False)
    assert world.run(WITHIN).state in ("preview", "locked")


def test_a_held_object_persists_without_gaze_on_it():
    world = World(age=4)
    before = world.run(WITHIN)
    world.tracker.control.hold(True)
    fits, keyframes = [], set()
    for index, track in world.play(32, gaze_at=AWAY):
        assert (track.result.state, track.result.object) == ("held", before.object)
        fits.append(overlap(world, index, track.result))
        keyframes.add(track.result.keyframe.index)
        assert track.result.carried_ms < 12 * 1e3 / 24
    assert min(fits[8:]) > 0.8
    assert len(keyframes) > 6, "decoded again on newer keyframes"
    world.tracker.control.hold(False)
    after = world.run(16, gaze_at=AWAY)
    assert after.object != before.object


def test_a_held_object_can_grow_beyond_its_prompt_box():
    """The held object is prompted with a box round it, beyond which no candidate reaches."""
    world = Ringed(age=2, speed=2.0)
    world.run(WITHIN)
    world.tracker.control.hold(True)
    areas = []
    for step in (-1, -1, 1, 1):
        world.tracker.control.step_level(step)
        results = masked(world.play(6, gaze_at=AWAY))
        assert {m.state for m in results} == {"held"}
        areas.append(area(results[-1]))
    assert areas[-1] > 2 * areas[1]


def test_a_released_object_keeps_its_id():
    world = World(age=2)
    before = world.run(WITHIN)
    world.tracker.control.hold(True)
    assert world.run(4).state == "held", "even while the eyes rest on it"
    world.tracker.control.hold(False)
    after = world.run(16)
    assert (after.state, after.object) == ("locked", before.object)


def test_a_held_object_is_lost_at_a_cut():
    world = World(age=2, speed=0.0)
    world.run(WITHIN)
    world.tracker.control.hold(True)
    other = cv2.GaussianBlur(np.random.default_rng(1).integers(0, 255, (240, 320, 3), np.uint8), (0, 0), 3)
    assert world.run(1, image=other, gaze=False).state == "lost"
    assert world.run(16, gaze_at=(160.0, 120.0), image=scene.picture(40, 2.0)).state in ("preview", "locked")


def test_an_early_keyframe_is_decoded_for_the_held_object():
    world = World(age=2, speed=1.0)
    world.run(21)
    world.tracker.control.hold(True)
    world.run(1, gaze_at=AWAY)
    keyframe, world._keyframe = world._keyframe(), lambda: None
    decoder, requested = world.tracker._prompter._decoder, []
    honest = decoder.decode
    decoder.decode = lambda embedding, prompts: requested.append(prompts) or honest(embedding, prompts)
    world.tracker.prepare(keyframe)
    world.tracker.refine()
    message = world.run(1, gaze_at=AWAY)
    assert message.keyframe.index == keyframe.index
    (((prompt,)),) = requested  # once, and no vote on it
    box, truth = prompt.box_px, scene.centre(keyframe.index, 1.0)
    assert np.hypot(*(prompt.points_px[0] - truth)) < 0.5 * scene.RADIUS
    np.testing.assert_allclose(box, [*(np.array(truth) - scene.RADIUS), *(np.array(truth) + scene.RADIUS)], atol=8)


def test_alternatives_are_shown_in_order_and_persist():
    world = Ringed(age=2, speed=0.0, settings=TrackerSettings(choice=SelectionSettings(alternatives=3)))
    first = world.run(WITHIN)
    others = first.alternatives
    assert others, "a disc with a ring may be meant with or without it"
    areas = [area(first)]
    for _ in others:
        assert world.tracker.control.step_alternative(1) == first.object
        results = masked(world.play(8))
        assert {m.object for m in results} == {first.object}
        assert max(map(area, results)) < 1.1 * min(map(area, results)), "from the very next frame on, over keyframes"
        areas.append(area(results[-1]))
    scale = first.mask.size / others[0].mask.size
    offered = [np.count_nonzero(each.mask) * scale for each in others]
    np.testing.assert_allclose(areas[1:], offered, rtol=0.2)
    world.tracker.control.step_alternative(1)
    assert area(world.run(2)) == pytest.approx(areas[0], rel=0.05), "after the last comes the first"
    world.tracker.control.step_alternative(-1)
    assert area(world.run(2)) == pytest.approx(areas[-1], rel=0.05)


def test_published_alternatives_differ_and_leave_room_for_doubt():
    world = Ringed(age=2, speed=0.0, settings=TrackerSettings(choice=SelectionSettings(alternatives=3)))
    for result in masked(world.play(24)):
        if result is None or result.mask is None:
            continue
        assert result.confidence + sum(each.probability for each in result.alternatives) <= 1 + 1e-6
        for each in result.alternatives:
            small = cv2.resize(result.mask.astype(np.uint8), each.mask.shape[::-1], interpolation=cv2.INTER_AREA) > 0
            assert scene.iou(each.mask, small) < 0.95
            assert each.kind == ("part" if each.mask.sum() < small.sum() else "whole"), "rings are nested"
    assert world.run(1).alternatives
    assert Ringed(age=2, speed=0.0).run(24).alternatives == (), "off unless asked for"


def test_without_an_object_there_is_no_alternative():
    world = World(age=2, speed=0.0)
    with pytest.raises(CommandRejected, match="nothing is on show"):
        world.tracker.control.step_alternative(1)


def test_alternatives_are_for_a_held_object_too():
    """As a mouse holds it that presses the button."""
    world = Ringed(age=2, speed=0.0)
    world.run(WITHIN)
    world.tracker.control.hold(True)
    held = world.run(6, gaze_at=AWAY)
    world.tracker.control.step_alternative(1)
    others = masked(world.play(6, gaze_at=AWAY))
    assert {m.state for m in others} == {"held"}
    assert {m.object for m in others} == {held.object}
    areas = [area(m) for m in others]
    assert abs(areas[0] / area(held) - 1) > 0.25
    assert max(areas) < 1.1 * min(areas)


def test_after_clear_a_new_fixation_is_needed():
    world = World(age=2, speed=0.0)
    before = world.run(WITHIN)
    world.tracker.control.step_level(1)
    world.tracker.control.hold(True)
    world.tracker.control.clear()
    assert {m.state for m in masked(world.play(12))} == {"lost"}, "the eyes still rest where they did"
    world.run(3, gaze_at=AWAY)
    again = masked(world.play(12))
    assert again[-1].state in ("preview", "locked")
    assert again[-1].object == before.object
    assert again[1].mask is None, "they have to rest on it for as long as on any other"


def test_the_same_commands_at_the_same_times_give_the_same_masks():
    def play():
        world, results = Ringed(age=3, speed=2.0), []
        for frames, command in (
            (14, ()),
            (4, ("step_level", -1)),
            (8, ("hold", True)),
            (6, ("step_level", 1)),
            (2, ("hold", False)),
            (8, ("step_alternative", 1)),
            (4, ("clear",)),
        ):
            if command:
                getattr(world.tracker.control, command[0])(*command[1:])
            results += masked(world.play(frames, gaze_at=AWAY if command == ("hold", True) else None))
        return results

    for one, other in zip(play(), play(), strict=True):
        assert (one is None) == (other is None)
        if one is not None:
            assert (one.state, one.object, one.gaze, one.score) == (other.state, other.object, other.gaze, other.score)
            assert (one.mask is None) == (other.mask is None)
            assert one.mask is None or np.array_equal(one.mask, other.mask)
