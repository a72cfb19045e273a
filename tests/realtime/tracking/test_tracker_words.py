"""A word beside the gaze, and alone, on a scene whose truth is known."""

import cv2
import numpy as np
import pytest

from realtime.errors import CommandRejected
from realtime.tracking.keyframe import Keyframe
from tests.realtime import scene
from tests.realtime.disc_recognizer import DiscRecognizer
from tests.realtime.tracking.test_tracker import FPS, World

CUP = (110, 100), 30
BALL = (190, 104), 36
BETWEEN = (147.0, 101.0)
"""Near the cup's edge and the ball's, on neither."""


def draw_discs(balls=1, cups=1):
    image = np.full((scene.SIZE[1], scene.SIZE[0], 3), (70, 90, 70), np.uint8)
    image += scene.picture(0)[:, :1] // 40  # some texture
    if balls:
        cv2.circle(image, *BALL, (30, 30, 200), -1, cv2.LINE_AA)
    if cups:
        cv2.circle(image, *CUP, (200, 30, 30), -1, cv2.LINE_AA)
    return image


def truth_of(disc):
    mask = np.zeros((scene.SIZE[1], scene.SIZE[0]), np.uint8)
    return cv2.circle(mask, *disc, 1, -1) > 0


class WordWorld(World):
    """A world whose keyframes are searched."""

    def __init__(self, **options):
        super().__init__(speed=0.0, **options)
        self.recognizer = DiscRecognizer()

    def _keyframe(self):
        if self.index < self.age or self.index % self.age:
            return None
        frame = self._frames[self.index - self.age]
        found = self.recognizer.recognize(frame.image)
        return Keyframe.from_frame(frame, self.encoder.encode(frame.image), 1, self.now_ns, found)

    def set_word(self, text, seconds=None):
        self.tracker.control.set_word(self.recognizer.encode_word(text) if text else None, seconds)

    def outputs(self, frames, **options):
        found = []
        for _, output in self.play(frames, **options):
            found.append(output)
            while self.tracker.refine():
                pass
        return found


def fit(message, disc):
    return 0.0 if message is None or message.mask is None else scene.iou(message.mask, truth_of(disc))


@pytest.mark.parametrize("word", ["ball", "cup"])
def test_the_word_decides_between_two_things_beside_the_gaze(word):
    world = WordWorld()
    world.set_word(word)
    message = world.outputs(30, gaze_at=BETWEEN, image=draw_discs())[-1].result
    assert fit(message, BALL if word == "ball" else CUP) > 0.8
    assert (message.word.text, message.prompt) == (word, "gaze")
    assert 0.6 < message.word.score <= 0.8


@pytest.mark.parametrize("word", ["book", "unicorn", ""])
def test_a_word_of_nothing_there_changes_no_mask(word):
    with_word, without = WordWorld(), WordWorld()
    with_word.set_word(word)
    for one, two in zip(
        *(world.outputs(30, gaze_at=(195.0, 120.0), image=draw_discs()) for world in (with_word, without)), strict=True
    ):
        assert (one.result is None) == (two.result is None)
        if one.result is not None:
            assert np.array_equal(one.result.mask, two.result.mask)
            assert (one.result.object, one.result.confidence) == (two.result.object, two.result.confidence)
            assert (one.result.word.score if word else one.result.word) == (0 if word else None)


def test_a_word_given_during_a_fixation_shows_the_other_thing_under_another_id():
    world = WordWorld()
    first = world.outputs(30, gaze_at=(200.0, 120.0), image=draw_discs())[-1].result
    assert fit(first, BALL) > 0.8
    world.set_word("cup")
    far = world.outputs(30, gaze_at=(200.0, 120.0), image=draw_discs())[-1].result
    assert fit(far, BALL) > 0.8, "a cup far from the gaze is not meant"
    near = world.outputs(30, gaze_at=BETWEEN, image=draw_discs())[-1].result
    assert fit(near, CUP) > 0.8
    assert near.object != first.object


def test_a_word_alone_finds_its_thing_and_gaze_takes_over_again():
    world = WordWorld()
    world.set_word("ball")
    states = [output.result.state for output in world.outputs(48, gaze=False, image=draw_discs()) if output.result]
    message = world.outputs(1, gaze=False, image=draw_discs())[0].result
    assert [s for s in dict.fromkeys(states) if s != "lost"] == ["preview", "locked"]
    assert fit(message, BALL) > 0.8
    assert (message.prompt, message.gaze.confidence, message.gaze.radius) == ("word", 0.0, 0.0)
    assert np.hypot(message.gaze.x - BALL[0][0], message.gaze.y - BALL[0][1]) < 4
    assert 0 < message.confidence <= 1
    gazed = world.outputs(24, gaze_at=tuple(map(float, CUP[0])), image=draw_discs())[-1].result
    assert fit(gazed, CUP) > 0.8
    assert gazed.prompt == "gaze"
    assert gazed.object != message.object
    again = world.outputs(60, gaze=False, image=draw_discs())[-1].result
    assert (again.object, again.prompt) == (message.object, "word")


def test_a_thing_that_left_is_lost_and_found_again():
    world = WordWorld()
    world.set_word("ball")
    first = world.outputs(30, gaze=False, image=draw_discs())[-1]
    assert first.word.is_found
    gone = world.outputs(40, gaze=False, image=draw_discs(balls=0))[-1]
    assert gone.result.state == "lost"
    assert (gone.word.is_known, gone.word.is_found) == (True, False)
    back = world.outputs(30, gaze=False, image=draw_discs())[-1]
    assert back.word.is_found
    assert fit(back.result, BALL) > 0.8


def test_a_word_alone_follows_one_of_two_equals():
    image = draw_discs(cups=0)
    cv2.circle(image, (70, 70), 30, (30, 30, 200), -1, cv2.LINE_AA)
    world = WordWorld()
    world.set_word("ball")
    shown = [o.result for o in world.outputs(60, gaze=False, image=image) if o.result and o.result.mask is not None]
    assert len({each.object for each in shown}) == 1


def test_without_gaze_the_user_steps_from_one_thing_of_the_word_to_the_next():
    other = (70, 70), 30
    image = draw_discs(cups=0)
    cv2.circle(image, *other, (30, 30, 200), -1, cv2.LINE_AA)
    world = WordWorld()
    world.set_word("ball")
    first = world.outputs(30, gaze=False, image=image)[-1].result
    there, here = (BALL, other) if fit(first, BALL) > 0.8 else (other, BALL)
    world.tracker.control.step_alternative(1)
    second = world.outputs(40, gaze=False, image=image)[-1].result
    assert fit(second, here) > 0.8, "and it stays"
    assert second.object != first.object
    world.tracker.control.step_alternative(-1)
    again = world.outputs(20, gaze=False, image=image)[-1].result
    assert fit(again, there) > 0.8
    assert again.object == first.object
    alone = WordWorld()
    alone.set_word("ball")
    alone.outputs(30, gaze=False, image=draw_discs())
    with pytest.raises(CommandRejected, match="nothing else"):
        alone.tracker.control.step_alternative(1)


def test_a_long_fixation_does_not_step_what_the_word_names():
    for word, is_stepped in (("ball", False), ("", True)):
        world = WordWorld()
        world.set_word(word)
        world.outputs(FPS * 3, gaze_at=(195.0, 110.0), image=draw_discs())
        assert bool(world.tracker._shown.dwell.counts["steps"]) == is_stepped


def test_a_word_ends_after_its_time_or_by_a_clear():
    world = WordWorld()
    world.set_word("ball", 1.0)
    outputs = world.outputs(40, gaze=False, image=draw_discs())
    has_word = [output.word is not None for output in outputs]
    assert has_word == [True] * (FPS + 1) + [False] * (39 - FPS)
    world.set_word("ball")
    assert world.outputs(30, gaze=False, image=draw_discs())[-1].result.state in ("preview", "locked")
    world.tracker.control.clear()
    assert world.outputs(1, gaze=False, image=draw_discs())[-1].word is None


def test_a_short_absence_of_gaze_does_not_leave_the_object_to_the_word():
    world = WordWorld()
    world.set_word("ball")
    looked = world.outputs(30, gaze_at=tuple(map(float, CUP[0])), image=draw_discs())[-1].result
    away = [output.result for output in world.outputs(12, gaze=False, image=draw_discs())]
    assert {(each.object, each.prompt) for each in away} == {(looked.object, "gaze")}


def test_gaze_beside_the_picture_leaves_it_to_the_word():
    world = WordWorld()
    world.set_word("ball")
    message = world.outputs(60, gaze_at=(-200.0, 50.0), image=draw_discs())[-1].result
    assert fit(message, BALL) > 0.8
    assert message.prompt == "word"


def test_confirmation_by_dwell_needs_eyes():
    from realtime.tracking.dwell.settings import DwellSettings
    from realtime.tracking.tracker import TrackerSettings

    world = WordWorld(settings=TrackerSettings(dwell=DwellSettings(confirm_s=0.8)))
    world.set_word("ball")
    assert world.outputs(60, gaze=False, image=draw_discs())[-1].result.confirmed is None
