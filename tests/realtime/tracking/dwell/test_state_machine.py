"""One scene, three things, and what is published while the eyes wander over them."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from realtime.errors import DwellSettingsError
from realtime.tracking.dwell import DwellInput, DwellSettings, DwellStateMachine
from realtime.tracking.gaze import GazeEstimate
from realtime.types import GazeSample

SIZE = (320, 240)
MS = 1_000_000
PLACES = {"mug": (80, 120, 30), "fist": (240, 120, 30), "bin": (80, 30, 14)}


def disc(x, y, r):
    rows, columns = np.mgrid[: SIZE[1], : SIZE[0]]
    return (columns - x) ** 2 + (rows - y) ** 2 <= r * r


class Scene:
    """Plays the pipeline: decodes what is looked at, carries what was shown, and moves with the camera."""

    def __init__(self, fps=24.0, **chosen):
        self.dwell, self.t_ms, self.period_ms = DwellStateMachine(DwellSettings(**chosen)), 0.0, 1e3 / fps
        self.shown, self.shift, self.onset_ms, self.at = None, 0.0, 0.0, None
        self.things = {name: disc(*place) for name, place in PLACES.items()}

    def mask(self, name):
        return None if name is None else np.roll(self.things[name], round(self.shift), axis=1)

    def frame(self, at, kind="fixation", decoded=True, broken=False, level=None, as_thing=None, scale=1):
        """One frame of eyes on the thing called `at`; `as_thing`: what the decoder says instead."""
        if at is not None and at != self.at:
            self.onset_ms, self.at = self.t_ms, at
        look = None
        if at is not None:
            x, y, _ = PLACES[at]
            t_ns = round(self.t_ms * MS)
            sample = GazeSample(x + self.shift, y, "px", 1.0, t_ns * 1e-9, t_ns, t_ns)
            look = GazeEstimate(kind, (x + self.shift, y), round(self.onset_ms * MS), sample, 1.0, 4.0)
        fresh = self.mask(as_thing or at) if decoded else None
        carried = None if self.shown is None or broken else self.shown
        fresh, carried = (None if m is None else m[::scale, ::scale] for m in (fresh, carried))
        seen = DwellInput(round(self.t_ms * MS), look, fresh, carried, SIZE, level=level, is_broken=broken)
        shown = self.dwell.update(seen)
        self.shown = None if shown.mask is None else np.kron(shown.mask, np.ones((scale, scale), bool)).astype(bool)
        self.t_ms += self.period_ms
        return shown

    def play(self, at, span_ms, **how):
        return [self.frame(at, **how) for _ in range(max(1, round(span_ms / self.period_ms)))]

    def pan(self, dx):
        """The camera turns: everything moves by whole pixels."""
        self.dwell.move(lambda points: np.add(points, [dx, 0.0]))
        self.shift += dx
        if self.shown is not None:
            self.shown = np.roll(self.shown, round(dx), axis=1)


def states(shown):
    """Runs of states as (state, object) without repeats."""
    pairs = [(s.state, s.object) for s in shown]
    return [pair for k, pair in enumerate(pairs) if not k or pair != pairs[k - 1]]


@pytest.mark.parametrize("fps", [24, 120])
@pytest.mark.parametrize("scale", [1, 2])
def test_a_rest_becomes_a_preview_and_then_a_lock(fps, scale):
    scene = Scene(fps)
    shown = scene.play("mug", 1000, scale=scale)
    assert states(shown) == [("lost", 0), ("preview", 1), ("locked", 1)]
    first = {state: next(k for k, s in enumerate(shown) if s.state == state) for state in ("preview", "locked")}
    assert 150 <= first["preview"] * 1e3 / fps < 150 + 1e3 / fps + 1e-6
    assert 600 <= first["locked"] * 1e3 / fps < 600 + 1e3 / fps + 1e-6
    assert all((s.mask is None) == (s.state == "lost") for s in shown)
    assert [s.has_changed for s in shown].count(True) == 1


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


def test_another_thing_takes_over_after_the_hysteresis():
    scene = Scene(120)
    mug = scene.play("mug", 1000)[-1]
    shown = scene.play("fist", 400)
    assert states(shown) == [("held", 1), ("preview", 2)]
    switched = next(k for k, s in enumerate(shown) if s.object == 2)
    since_left_ms = (switched + 1) * 1e3 / 120  # the last frame on the mug is one before these
    assert 120 <= since_left_ms <= 120 + 1e3 / 120 + 1e-6
    assert (shown[switched - 1].mask == mug.mask).all()
    assert (shown[switched].mask == disc(*PLACES["fist"])).all()
    assert shown[switched].has_changed


def test_a_glance_or_a_wrong_decode_changes_nothing():
    scene = Scene()
    scene.play("mug", 1000)
    assert states(scene.play("fist", 100)) == [("held", 1)]
    assert states(scene.play("mug", 200)) == [("locked", 1)]
    shown = [scene.frame("mug", as_thing="fist" if k % 3 else None) for k in range(30)]
    assert {s.object for s in shown} == {1}
    assert all((s.mask == disc(*PLACES["mug"])).all() for s in shown)
    assert scene.dwell.counts["switches"] == scene.dwell.counts["refinements"] == 0


def test_a_saccade_within_the_thing_does_not_flicker():
    scene = Scene()
    scene.play("mug", 1000)
    assert states(scene.play("mug", 80, kind="saccade", decoded=False)) == [("locked", 1)]


def test_eyes_that_come_back_find_the_same_id():
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


def test_lost_after_half_a_second_without_gaze_and_found_again():
    scene = Scene(100)
    scene.play("mug", 1000)
    shown = scene.play(None, 1000)
    assert states(shown) == [("held", 1), ("lost", 1)]
    lost = next(k for k, s in enumerate(shown) if s.state == "lost")
    assert 480 <= lost * 10 <= 500
    assert all(s.mask is None and s.source == "nothing" for s in shown[lost:])
    scene.at = None
    assert states(scene.play("mug", 1000)) == [("lost", 1), ("preview", 1), ("locked", 1)]


def test_a_slow_decoder_does_not_lose_what_is_looked_at():
    scene = Scene()
    scene.play("mug", 500)
    assert states(scene.play("mug", 2000, decoded=False)) == [("preview", 1), ("locked", 1)]


def test_a_broken_chain_shows_no_old_mask():
    scene = Scene()
    scene.play("mug", 1000)
    cut = scene.frame("mug", decoded=False, broken=True)
    assert (cut.state, cut.mask) == ("lost", None)
    assert states(scene.play("mug", 100)) == [("locked", 1)], "the thing is still in its place: a blurred frame"
    scene.frame("mug", decoded=False, broken=True)
    other = scene.frame("mug", as_thing="fist")
    assert (other.object, other.state) == (2, "preview"), "another thing is there: a cut"
    again = scene.frame("mug", broken=True, as_thing="fist")
    assert (again.state, again.object, again.source) == ("preview", 2, "decoded")


def test_what_was_not_carried_over_a_cut_is_forgotten():
    scene = Scene()
    scene.play("mug", 500)
    scene.frame("fist", decoded=False, broken=True)
    scene.play("fist", 700)
    assert scene.play("mug", 500)[-1].object == 3


def test_the_same_thing_seen_otherwise_keeps_its_id():
    scene = Scene()
    scene.things["handle"] = disc(80, 120, 12)
    scene.play("mug", 500)
    shown = scene.play("mug", 400, as_thing="handle")
    assert {s.object for s in shown} == {1}
    assert (shown[0].mask == scene.things["mug"]).all()
    assert (shown[-1].mask == scene.things["handle"]).all()
    assert scene.dwell.counts["refinements"] == 1


@pytest.mark.parametrize("steps", [True, False])
def test_a_long_fixation_steps_from_part_to_whole_and_back_if_asked(steps):
    scene = Scene(steps=steps)
    wanted, levels = 0, []
    scene.things |= {f"level {k}": disc(80, 120, 8 * (k + 1)) for k in range(3)}
    for _ in range(round(10_000 / scene.period_ms)):
        shown = scene.frame("mug", as_thing=f"level {wanted}", level=wanted)
        wanted = shown.fixed_level if shown.fixed_level is not None else wanted
        if not levels or levels[-1] != wanted:
            levels.append(wanted)
        assert shown.object in (0, 1)
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
def test_what_is_published_always_makes_sense(script):
    scene, known = Scene(steps=True), set()
    for at, kind, decoded, broken, wait_ms, dx in script:
        scene.dwell.move(lambda points, dx=dx: np.add(points, [dx, 0.0]))
        shown = scene.frame(at, kind, decoded, broken and not decoded)
        scene.t_ms += wait_ms
        assert (shown.mask is None) == (shown.state == "lost") == (shown.source == "nothing")
        assert shown.mask is None or shown.mask.any()
        assert shown.object == 0 or shown.object in known or shown.object == len(known) + 1
        known |= {shown.object} - {0}
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
