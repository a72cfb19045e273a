"""The tracker on a scene whose truth is known, with a clock of the test's own."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from engines import EngineSettings, load
from realtime.tracking.dwell.settings import DwellSettings
from realtime.tracking.keyframe import Keyframe
from realtime.tracking.mask_preview import MaskPreviewer
from realtime.tracking.mask_selection import SelectionSettings
from realtime.tracking.motion_segmentation import SegmentationSettings
from realtime.tracking.tracker import Tracker, TrackerSettings
from realtime.types import Frame, GazeSample
from tests.realtime import scene

FPS, GAZE_HZ = 24, 120
SPEED = 4.0


class World:
    """Plays the scene to a tracker: frames, gaze, and keyframes that arrive `age` frames late, every `age` frames.

    preview: whether masks without the model are shown.
    """

    def __init__(self, age=4, speed=SPEED, settings=None, preview=False):
        self.encoder, decoder = load(EngineSettings(backend="fake"), None)
        self.now_ns = 10_000_000_000
        settings = replace(settings or TrackerSettings(), preview=SegmentationSettings(enabled=preview))
        self.tracker = Tracker(decoder, lambda: self.now_ns, settings)
        self.age, self.speed, self.index = age, speed, 0
        self._frames = {}
        self.is_wanted = False

    def play(self, frames, *, gaze=True, gaze_at=None, image=None):
        """Step so many frames; yields (index, Track)."""
        for _ in range(frames):
            picture = scene.picture(self.index, self.speed) if image is None else image
            frame = Frame(picture, self.index, self.index / FPS, self.now_ns, self.now_ns)
            self._frames[self.index] = frame
            x, y = gaze_at or scene.centre(self.index, self.speed)
            confidence = 0.95 if gaze else 0.0
            samples = [
                GazeSample(x, y, "px", confidence, self.index / FPS + k / GAZE_HZ, at_ns, at_ns)
                for k in range(GAZE_HZ // FPS)
                for at_ns in [self.now_ns - 1_000_000_000 // FPS + (k + 1) * 1_000_000_000 // GAZE_HZ]
            ]
            self.is_wanted = self.tracker.should_encode(frame)
            yield self.index, self.tracker.step(frame, samples, self._keyframe())
            self.index += 1
            self.now_ns += 1_000_000_000 // FPS

    def _keyframe(self):
        if self.index < self.age or self.index % self.age:
            return None
        frame = self._frames[self.index - self.age]
        return Keyframe.from_frame(frame, self.encoder.encode(frame.image), 1, self.now_ns)

    def run(self, frames, **options):
        """The last frame's message."""
        return [track.result for _, track in self.play(frames, **options)][-1]


def overlap(world, index, message):
    return scene.iou(message.mask, scene.truth(index, world.speed))


def test_a_mask_of_an_old_keyframe_fits_the_newest_frame():
    world = World()
    fits, stale = [], []
    for index, track in world.play(40):
        message = track.result
        if message is not None and message.mask is not None and index > 20:
            fits.append(overlap(world, index, message))
            stale.append(scene.iou(scene.truth(message.keyframe.index, SPEED), scene.truth(index, SPEED)))
            assert message.frame.index == index
            assert message.captured_ns == world._frames[index].captured_ns
            assert index - 8 <= message.keyframe.index <= index - 4
    assert len(fits) == 19
    assert np.mean(fits) > 0.8
    assert np.mean(fits) > np.mean(stale) + 0.15


def test_states_go_from_preview_to_locked_with_one_id():
    world = World()
    reported = [(t.result.state, t.result.object) for _, t in world.play(40) if t.result is not None]
    states = [state for state, _ in reported if state != "lost"]
    assert states == sorted(states, key=["preview", "locked"].index)
    assert {"preview", "locked"} == set(states)
    assert {object_id for state, object_id in reported if state != "lost"} == {1}


def test_time_may_begin_at_any_number():
    """Neither 0 nor a negative time means that something never happened."""
    settings = TrackerSettings(dwell=DwellSettings(lock_s=0.3, step_s=0.4))
    usual, at_zero, below_zero = (World(settings=settings) for _ in range(3))
    at_zero.now_ns, below_zero.now_ns = 0, -1_000_000_000
    for (_, one), *others in zip(*(world.play(48) for world in (usual, at_zero, below_zero)), strict=True):
        for _, two in others:
            assert (one.result is None) == (two.result is None)
            if one.result is not None:
                assert (one.result.state, one.result.object) == (two.result.state, two.result.object)
                assert np.array_equal(one.result.mask, two.result.mask)


def test_a_blink_holds_the_carried_mask():
    world = World()
    before = world.run(30)
    blink = [track.result for _, track in world.play(5, gaze=False)]
    assert [m.state for m in blink[1:]] == ["held"] * 4
    assert {m.object for m in blink} == {before.object}
    assert {m.gaze.timestamp for m in blink[1:]} == {blink[1].gaze.timestamp}
    assert np.all(np.diff([m.carried_ms for m in blink[1:]]) > 0)
    assert overlap(world, world.index - 1, blink[-1]) > 0.75
    assert abs(blink[-1].gaze.x - scene.centre(world.index - 1, SPEED)[0]) < 8
    after = world.run(8)
    assert (after.state, after.object) == (before.state, before.object)


def test_without_gaze_it_is_lost_after_half_a_second_and_found_again_with_its_id():
    world = World()
    before = world.run(30)
    gone = [track.result for _, track in world.play(16, gaze=False)]
    assert (gone[8].state, gone[-1].state) == ("held", "lost")
    assert gone[-1].mask is None
    again = world.run(16)
    assert again.mask is not None
    assert again.object == before.object


def test_a_cut_shows_no_mask_of_the_picture_before_it():
    world = World()
    world.run(30)
    other = cv2.GaussianBlur(np.random.default_rng(1).integers(0, 255, (240, 320, 3), np.uint8), (0, 0), 3)
    first = world.run(1, image=other, gaze_at=(20.0, 20.0))
    assert first.mask is None


def test_gaze_outside_the_frame_prompts_nothing():
    world = World()
    assert world.run(30, gaze_at=(-50.0, 900.0)) is None


@pytest.mark.parametrize("change", ["index", "size"])
def test_a_restarted_device_is_tracked_anew(change):
    world = World()
    world.run(30)
    if change == "index":
        world.index = 0
        world._frames.clear()
        assert overlap(world, 29, world.run(30)) > 0.7
    else:
        small = cv2.resize(scene.picture(0), (160, 120))
        message = world.run(1, image=small, gaze_at=(80.0, 60.0))
        assert message is None


def test_the_same_input_gives_the_same_messages():
    one, other = ([t.result for _, t in World().play(30)] for _ in range(2))
    for a, b in zip(one, other, strict=True):
        assert (a is None) == (b is None)
        if a is not None and b is not None:
            assert (a.mask is None) == (b.mask is None)
            assert a.mask is None or np.array_equal(a.mask, b.mask)
            assert (a.state, a.object, a.score, a.confidence) == (b.state, b.object, b.score, b.confidence)


def test_a_still_picture_wants_no_second_keyframe():
    world = World(speed=0.0)
    wants = [world.is_wanted for _ in world.play(12)]
    assert wants[:5] == [True] * 5  # frame 4 is offered before its step, with which the keyframe comes
    assert not any(wants[5:])


def test_a_keyframe_of_before_a_restart_is_not_used_after_it():
    world = World()
    world.run(30)
    late = world._frames[12]
    embedding = world.encoder.encode(late.image)
    stale = Keyframe(12, 0.5, late.captured_ns, late.received_ns, late.size, embedding, 1, world.now_ns)
    other = cv2.GaussianBlur(np.random.default_rng(1).integers(0, 255, (240, 320, 3), np.uint8), (0, 0), 3)
    for index in range(20):
        frame = Frame(other, index, index / FPS, world.now_ns, world.now_ns)
        x, y = scene.centre(12, SPEED)
        sample = GazeSample(x, y, "px", 0.95, index / FPS, world.now_ns, world.now_ns)
        message = world.tracker.step(frame, [sample], stale if index == 13 else None).result
        assert message is None or message.mask is None
        world.now_ns += 1_000_000_000 // FPS


def test_an_object_after_a_restart_gets_a_new_id():
    world = World()
    before = world.run(30)
    world.index = 0
    world._frames.clear()
    assert world.run(30).object > before.object


def test_a_still_picture_is_encoded_again_once_no_chain_reaches_it():
    """Nothing new is encoded while nothing changes, but a keyframe that no chain reaches is of no use."""
    world = World(age=2, speed=0.0)
    wanted = [world.is_wanted for _ in world.play(8)]
    assert not wanted[-1]
    keyframe, world._keyframe = world._keyframe, lambda: None
    wanted = [world.is_wanted for _ in world.play(100)]
    assert wanted.count(True) > 50
    world._keyframe = keyframe
    list(world.play(4))
    world._keyframe = lambda: None
    x, y = scene.centre(world.index, 0.0)
    message = world.run(20, gaze_at=(x, y))
    assert message.state in ("preview", "locked")


def test_a_vote_lowers_the_confidence_at_an_edge():
    always = TrackerSettings(choice=SelectionSettings(decided=1.1))
    voted, alone = World(speed=0.0, settings=always), World(speed=0.0, settings=always)
    x, y = scene.centre(0, 0.0)
    newest = []
    for at in ((x, y), (x + 36, y)):  # the disc's radius is 40 px
        for step in zip(voted.play(30, gaze_at=at), alone.play(30, gaze_at=at), strict=True):
            while voted.tracker.refine():
                pass
            both = [track.result for _, track in step]
        newest.append(both)
        assert scene.iou(both[0].mask, both[1].mask) > 0.95
    (sure, _), (doubtful, unvoted) = newest
    assert sure.confidence > 0.7
    assert doubtful.confidence < unvoted.confidence < 0.5 * sure.confidence


@pytest.mark.parametrize(("decided", "prompts"), [(0.0, False), (1.1, True)])
def test_points_are_prompted_only_while_undecided(decided, prompts):
    world = World(speed=0.0, settings=TrackerSettings(choice=SelectionSettings(decided=decided)))
    world.run(20)
    assert world.tracker.refine() is prompts


def test_long_fixations_step_the_level_if_enabled():
    for steps in (True, False):
        dwell = DwellSettings(steps=steps, lock_s=0.3, step_s=0.4)
        world = World(age=2, speed=0.0, settings=TrackerSettings(dwell=dwell))
        tracks = [track for _, track in world.play(48, image=scene.ringed(0, 0.0))]
        tracks = [track for track in tracks if track.result is not None and track.result.mask is not None]
        areas = [track.result.mask.sum() for track in tracks]
        assert (max(areas) > 1.3 * min(areas)) == steps
        assert len({track.result.object for track in tracks}) == 1


def test_an_early_keyframe_is_decoded_before_the_next_frame():
    world = World(age=2, speed=1.0, settings=TrackerSettings(choice=SelectionSettings(decided=1.1)))
    prompt_counts = []
    decoder = world.tracker._prompter._decoder
    honest = decoder.decode
    decoder.decode = lambda embedding, prompts: prompt_counts.append(len(prompts)) or honest(embedding, prompts)
    list(world.play(20))
    keyframe, world._keyframe = world._keyframe(), lambda: None
    before = len(prompt_counts)
    world.tracker.prepare(keyframe)
    assert len(prompt_counts) == before + 1
    message = world.run(1)
    assert len(prompt_counts) == before + 1
    assert message.keyframe.index == keyframe.index
    while world.tracker.refine():
        pass
    assert prompt_counts[before:] == [1, 1, 1, 1, 1]


# -- previews: masks without a keyframe --------------------------------------------------------------------------------


def test_a_preview_is_shown_at_once_and_replaced_by_the_first_keyframes_mask():
    world = World(age=16, preview=True)
    results = [track.result for _, track in world.play(48)]
    guesses = [result for result in results if result.is_guess]
    assert results[: len(guesses)] == guesses  # from the first frame on, until the first keyframe is there
    assert 15 <= len(guesses) <= 19
    for result in guesses:
        assert (result.state, result.object, result.score) == ("preview", 0, 0.0)
        assert 0 < result.confidence <= 0.6
        assert result.keyframe.index == result.frame.index
    assert [result.method for result in guesses[4:]] == ["motion"] * (len(guesses) - 4)
    assert np.mean([overlap(world, result.frame.index, result) for result in guesses[4:]]) > 0.8
    assert {result.object for result in results[len(guesses) :]} == {1}
    assert results[-1].state == "locked"


def test_a_preview_follows_a_cut_and_a_loss():
    world = World(preview=True)
    assert not world.run(30).is_guess
    other = cv2.GaussianBlur(np.random.default_rng(1).integers(0, 255, (240, 320, 3), np.uint8), (0, 0), 3)
    first = world.run(1, image=other, gaze_at=(60.0, 60.0))
    assert (first.method, first.state, first.object) == ("colour", "preview", 0)
    assert first.mask[60, 60]
    assert first.mask.mean() < 0.2


@pytest.mark.parametrize(("is_lost", "is_decoded"), [(True, False), (True, True), (False, True)])
def test_a_carried_mask_that_has_left_the_moving_object_is_replaced(is_lost, is_decoded):
    world = World(age=12)
    world.run(20)
    tracker = world.tracker
    previewer = MaskPreviewer(lambda: world.now_ns, SegmentationSettings(), tracker._motion, DwellSettings())
    made = []
    for index, track in world.play(3):
        shown = tracker._shown.mask
        if is_lost:  # the mask stays behind, on the ground
            logits = np.full_like(shown.logits, -5.0)
            logits[:40, :40] = 5.0
            shown = replace(shown, logits=logits)
        frame, estimate = world._frames[index], tracker._gaze.estimate(world.now_ns)
        made.append(
            previewer.preview(
                frame, world.now_ns, estimate, shown, track.result, is_decoded=is_decoded, interval_ns=1e9 / FPS
            )
        )
    assert any(preview is not None for preview in made) == is_lost
    assert all(overlap(world, preview.frame.index, preview) > 0.7 for preview in made if preview is not None)


@pytest.mark.parametrize("kind", ["blink", "outside", "held", "disabled"])
def test_no_preview_without_a_fixation_in_the_picture_or_while_the_user_holds_the_object(kind):
    world = World(age=4 if kind == "held" else 100, preview=kind != "disabled")
    if kind == "held":
        world.run(30)
        world.tracker.control.hold(True)
    where = (-50.0, 900.0) if kind == "outside" else None
    results = [track.result for _, track in world.play(12, gaze=kind != "blink", gaze_at=where)]
    assert not any(result is not None and result.is_guess for result in results)


def test_a_preview_is_carried_through_a_blink_but_no_longer_than_an_object_would_be():
    world = World(age=200, preview=True)
    assert world.run(12).method == "motion"
    blink = [(index, track.result) for index, track in world.play(20, gaze=False)]
    carried = [(index, result) for index, result in blink if result is not None and result.is_guess]
    assert [result.state for _, result in carried] == ["held"] * len(carried)
    assert np.mean([overlap(world, index, result) for index, result in carried]) > 0.7
    assert all(result.frame.index == index for index, result in carried)
    lost_s = DwellSettings().lost_s
    assert len(carried) / FPS == pytest.approx(lost_s, abs=3 / FPS)
    assert world.run(3).state == "preview"


def test_a_preview_is_not_carried_across_a_cut():
    world = World(age=200, preview=True)
    world.run(12)
    other = cv2.GaussianBlur(np.random.default_rng(1).integers(0, 255, (240, 320, 3), np.uint8), (0, 0), 3)
    results = [track.result for _, track in world.play(4, gaze=False, image=other)]
    assert not any(result is not None and result.is_guess for result in results)


def test_previews_take_no_object_id_and_begin_no_dwell():
    with_preview, without = World(age=16, preview=True), World(age=16)
    for (_, one), (_, two) in zip(with_preview.play(48), without.play(48), strict=True):
        if not one.result.is_guess:
            assert (one.result.object, one.result.state) == (two.result.object, two.result.state)
            assert np.array_equal(one.result.mask, two.result.mask)
    assert with_preview.tracker._shown.dwell.last_id == 1


def test_the_same_input_gives_the_same_previews():
    one, other = ([t.result for _, t in World(age=20, preview=True).play(24)] for _ in range(2))
    assert any(result.is_guess for result in one)
    assert all(np.array_equal(a.mask, b.mask) for a, b in zip(one, other, strict=True))
