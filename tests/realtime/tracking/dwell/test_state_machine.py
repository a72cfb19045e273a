"""Tests the dwell state machine on one scene with three objects."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from realtime.errors import DwellSettingsError
from realtime.tracking.dwell.observation import DwellInput
from realtime.tracking.dwell.settings import DwellSettings
from realtime.tracking.dwell.state_machine import DwellStateMachine
from realtime.tracking.gaze.estimate import GazeEstimate
from realtime.types import GazeSample

SIZE = (320, 240)
MS = 1_000_000
PLACES = {"mug": (80, 120, 30), "fist": (240, 120, 30), "bin": (80, 30, 14)}


def disc(x, y, r):
    rows, columns = np.mgrid[: SIZE[1], : SIZE[0]]
    return (columns - x) ** 2 + (rows - y) ** 2 <= r * r


class Scene:
    """Plays the pipeline: decodes the object under the gaze, carries the shown mask, and moves with the camera."""

    def __init__(self, fps=24.0, **chosen):
        self.dwell, self.t_ms, self.period_ms = DwellStateMachine(DwellSettings(**chosen)), 0.0, 1e3 / fps
        self.carried, self.shift, self.onset_ms, self.at = None, 0.0, 0.0, None
        self.objects = {name: disc(*place) for name, place in PLACES.items()}

    def mask(self, name):
        return None if name is None else np.roll(self.objects[name], round(self.shift), axis=1)

    def frame(self, at, kind="fixation", decoded=True, broken=False, level=None, decoded_as=None, scale=1):
        """Play one frame of gaze on the object `at`; `decoded_as`: the object that is decoded instead."""
        if at is not None and at != self.at:
            self.onset_ms, self.at = self.t_ms, at
        gaze = None
        if at is not None:
            x, y, _ = PLACES[at]
            t_ns = round(self.t_ms * MS)
            sample = GazeSample(x + self.shift, y, "px", 1.0, t_ns * 1e-9, t_ns, t_ns)
            gaze = GazeEstimate(kind, (x + self.shift, y), round(self.onset_ms * MS), sample, 1.0, 4.0)
        fresh = self.mask(decoded_as or at) if decoded else None
        carried = None if self.carried is None or broken else self.carried
        fresh, carried = (None if m is None else m[::scale, ::scale] for m in (fresh, carried))
        observed = DwellInput(round(self.t_ms * MS), gaze, fresh, carried, SIZE, level=level, is_broken=broken)
        decision = self.dwell.update(observed)
        self.carried = (
            None if decision.mask is None else np.kron(decision.mask, np.ones((scale, scale), bool)).astype(bool)
        )
        self.t_ms += self.period_ms
        return decision

    def play(self, at, span_ms, **options):
        return [self.frame(at, **options) for _ in range(max(1, round(span_ms / self.period_ms)))]

    def pan(self, dx):
        """The camera turns: everything moves by whole pixels."""
        self.dwell.move(lambda points: np.add(points, [dx, 0.0]))
        self.shift += dx
        if self.carried is not None:
            self.carried = np.roll(self.carried, round(dx), axis=1)


def states(decisions):
    """Runs of states as (state, object) without repeats."""
    pairs = [(s.state, s.object) for s in decisions]
    return [pair for k, pair in enumerate(pairs) if not k or pair != pairs[k - 1]]


@pytest.mark.parametrize("fps", [24, 120])
@pytest.mark.parametrize("scale", [1, 2])
def test_a_fixation_becomes_preview_and_then_locked(fps, scale):
    scene = Scene(fps)
    decisions = scene.play("mug", 1000, scale=scale)
    assert states(decisions) == [("lost", 0), ("preview", 1), ("locked", 1)]
    first = {state: next(k for k, s in enumerate(decisions) if s.state == state) for state in ("preview", "locked")}
    assert 150 <= first["preview"] * 1e3 / fps < 150 + 1e3 / fps + 1e-6
    assert 600 <= first["locked"] * 1e3 / fps < 600 + 1e3 / fps + 1e-6
    assert all((s.mask is None) == (s.state == "lost") for s in decisions)
    assert [s.has_changed for s in decisions].count(True) == 1


@pytest.mark.parametrize("blink_ms", [100, 250, 450])
@pytest.mark.parametrize("state", ["preview", "locked"])
def test_a_blink_holds_the_mask_and_the_id(blink_ms, state):
    scene = Scene()
    before = scene.play("mug", 300 if state == "preview" else 1000)[-1]
    blinked = scene.play("mug", blink_ms, kind="blink", decoded=False)
    after = scene.frame("mug")
    assert before.state == state
    assert states(blinked) == [("held", 1)]
    assert all(s.source == "carried" and (s.mask == before.mask).all() for s in blinked)
    assert (after.state, after.object) == (state, 1)
    assert after.dwell_s == pytest.approx(before.dwell_s), "shut eyes do not dwell"


def test_another_object_replaces_the_shown_one_after_the_hysteresis():
    scene = Scene(120)
    mug = scene.play("mug", 1000)[-1]
    decisions = scene.play("fist", 400)
    assert states(decisions) == [("held", 1), ("preview", 2)]
    switched = next(k for k, s in enumerate(decisions) if s.object == 2)
    since_left_ms = (switched + 1) * 1e3 / 120  # the last frame on the mug is one before these
    assert 120 <= since_left_ms <= 120 + 1e3 / 120 + 1e-6
    assert (decisions[switched - 1].mask == mug.mask).all()
    assert (decisions[switched].mask == disc(*PLACES["fist"])).all()
    assert decisions[switched].has_changed


def test_a_glance_or_a_wrong_decode_changes_nothing():
    scene = Scene()
    scene.play("mug", 1000)
    assert states(scene.play("fist", 100)) == [("held", 1)]
    assert states(scene.play("mug", 200)) == [("locked", 1)]
    decisions = [scene.frame("mug", decoded_as="fist" if k % 3 else None) for k in range(30)]
    assert {s.object for s in decisions} == {1}
    assert all((s.mask == disc(*PLACES["mug"])).all() for s in decisions)
    assert scene.dwell.counts["switches"] == scene.dwell.counts["refinements"] == 0


def test_a_saccade_within_the_object_does_not_flicker():
    scene = Scene()
    scene.play("mug", 1000)
    assert states(scene.play("mug", 80, kind="saccade", decoded=False)) == [("locked", 1)]


def test_a_returning_gaze_recalls_the_id():
    scene = Scene()
    for name, expected in [("mug", 1), ("fist", 2), ("mug", 1), ("bin", 3), ("fist", 2), ("bin", 3), ("mug", 1)]:
        assert scene.play(name, 500)[-1].object == expected, name
    assert scene.dwell.counts["objects"] == 3
    assert scene.dwell.counts["recalls"] == 4


def test_the_id_is_found_again_where_the_camera_has_moved_it():
    scene = Scene()
    scene.play("mug", 500)
    for _ in range(12):
        scene.frame("fist")
        scene.pan(4)
    assert scene.frame("fist").object == 2
    assert scene.play("mug", 500)[-1].object == 1


def test_the_time_without_frames_is_no_time_without_gaze():
    scene = Scene()
    shown = scene.play("mug", 1000)[-1].object
    scene.t_ms += 800  # such as while a graph is compiled
    assert [(s.state, s.object) for s in scene.play(None, 400, decoded=False)] == [("held", shown)] * 10
    assert (scene.frame("mug").state, scene.frame("mug").object) == ("locked", shown)
    scene.t_ms += 800
    assert states(scene.play(None, 700, decoded=False)) == [("held", shown), ("lost", shown)]


@pytest.mark.parametrize("fps", [1, 0.2])
def test_the_gaze_is_lost_in_the_second_frame_where_frames_are_rare(fps):
    scene = Scene(fps)
    scene.play("mug", 10_000)
    assert [s.state for s in scene.play(None, 3000 / fps, decoded=False)] == ["held", "lost", "lost"]


def test_lost_after_half_a_second_without_gaze_and_found_again():
    scene = Scene(100)
    scene.play("mug", 1000)
    decisions = scene.play(None, 1000)
    assert states(decisions) == [("held", 1), ("lost", 1)]
    lost = next(k for k, s in enumerate(decisions) if s.state == "lost")
    assert 480 <= lost * 10 <= 500
    assert all(s.mask is None and s.source == "nothing" for s in decisions[lost:])
    scene.at = None
    assert states(scene.play("mug", 1000)) == [("lost", 1), ("preview", 1), ("locked", 1)]


def test_a_slow_decoder_does_not_lose_the_object():
    scene = Scene()
    scene.play("mug", 500)
    assert states(scene.play("mug", 2000, decoded=False)) == [("preview", 1), ("locked", 1)]


def test_a_broken_chain_shows_no_old_mask():
    scene = Scene()
    scene.play("mug", 1000)
    cut = scene.frame("mug", decoded=False, broken=True)
    assert (cut.state, cut.mask) == ("lost", None)
    assert states(scene.play("mug", 100)) == [("locked", 1)], "the object is still in its place: a blurred frame"
    scene.frame("mug", decoded=False, broken=True)
    other = scene.frame("mug", decoded_as="fist")
    assert (other.object, other.state) == (2, "preview"), "another object is there: a cut"
    again = scene.frame("mug", broken=True, decoded_as="fist")
    assert (again.state, again.object, again.source) == ("preview", 2, "decoded")


def test_objects_from_before_a_cut_are_forgotten():
    scene = Scene()
    scene.play("mug", 500)
    scene.frame("fist", decoded=False, broken=True)
    scene.play("fist", 700)
    assert scene.play("mug", 500)[-1].object == 3


def test_another_mask_of_the_object_replaces_it_at_once_and_keeps_its_id():
    scene = Scene()
    scene.objects["handle"] = disc(80, 120, 12)
    scene.play("mug", 500)
    decisions = scene.play("mug", 400, decoded_as="handle")
    assert {s.object for s in decisions} == {1}
    assert all((decision.mask == scene.objects["handle"]).all() for decision in decisions)
    assert scene.dwell.counts["refinements"] == 1


@pytest.mark.parametrize("steps", [True, False])
def test_a_long_fixation_steps_from_part_to_whole_and_back_if_asked(steps):
    scene = Scene(steps=steps)
    wanted, levels = 0, []
    scene.objects |= {f"level {k}": disc(80, 120, 8 * (k + 1)) for k in range(3)}
    for _ in range(round(10_000 / scene.period_ms)):
        decision = scene.frame("mug", decoded_as=f"level {wanted}", level=wanted)
        wanted = decision.fixed_level if decision.fixed_level is not None else wanted
        if not levels or levels[-1] != wanted:
            levels.append(wanted)
        assert decision.object in (0, 1)
    assert levels == ([0, 1, 2, 1, 0, 1, 2] if steps else [0])


def test_everyday_fixations_never_step():
    scene = Scene(steps=True)
    for _ in range(20):
        scene.at = None
        assert all(s.fixed_level is None for s in scene.play("mug", 500, level=0))


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from([None, *PLACES]),
            st.sampled_from(["fixation", "pursuit", "saccade", "blink", "none"]),
            st.booleans(),
            st.booleans(),
            st.integers(-100, 700),
            st.sampled_from([0.0, 5.0, -400.0, math.nan]),
        ),
        max_size=40,
    )
)
def test_decisions_are_consistent(script):
    scene, known = Scene(steps=True), set()
    for at, kind, decoded, broken, wait_ms, dx in script:
        scene.dwell.move(lambda points, dx=dx: np.add(points, [dx, 0.0]))
        decision = scene.frame(at, kind, decoded, broken and not decoded)
        scene.t_ms += wait_ms
        assert (decision.mask is None) == (decision.state == "lost") == (decision.source == "nothing")
        assert decision.mask is None or decision.mask.any()
        assert decision.object == 0 or decision.object in known or decision.object == len(known) + 1
        known |= {decision.object} - {0}
        assert len(scene.dwell._memory) <= 8 + 1


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ({"same_iou": 1.5}, "0..1"),
        ({"lost_s": 0.1}, "longer than switch_s"),
        ({"remember": 1.5}, "whole number"),
        ({"steps": 1}, "true or false"),
        ({"lock_s": math.inf}, "finite"),
        ({"recall_area_ratio": 0.5}, ">= 1"),
        ({"step_s": 0}, "above 0"),
    ],
)
def test_settings_that_cannot_work_are_refused(setting, expected):
    with pytest.raises(DwellSettingsError, match=expected):
        DwellSettings(**setting)
