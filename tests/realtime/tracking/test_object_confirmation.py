"""The shown object is confirmed by several means, and no longer once another one, or another mask, is shown."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from realtime.errors import CommandRejected
from realtime.tracking.dwell.settings import DwellSettings
from realtime.tracking.object_confirmation import ObjectConfirmer
from realtime.tracking.settings import TrackerSettings
from realtime.types import FrameRef, GazeRef, KeyframeRef, MaskResult, TimingNs
from tests.realtime.tracking.test_tracker import World
from tests.realtime.tracking.test_user_control import AWAY, WITHIN, Ringed, masked

STEP_NS = 100_000_000
LOST = MaskResult(
    FrameRef(0, 0.0, 8, 6), KeyframeRef(0, 0.0), GazeRef(0.0, 1.0, 1.0, 1.0, 5.0), 0.0, 0, "lost", 0.0, 0.0, None,
    TimingNs(0, 0, 0, 0),
)  # fmt: skip


def shown(object_id, state="locked"):
    return replace(LOST, object=object_id, state=state, mask=np.ones((6, 8), bool))


def play(confirmer, results, start=0):
    """Follow results that are 0.1 s apart, each of a frame captured 20 ms before; returns the confirmations."""
    times = [(start + k) * STEP_NS for k in range(len(results))]
    return [confirmer.update(each, at_ns - 20_000_000, at_ns) for each, at_ns in zip(results, times, strict=True)]


def by(confirmations):
    return [None if each is None else (each.by, each.number) for each in confirmations]


def test_a_confirmation_lasts_as_long_as_its_object_is_shown():
    confirmer = ObjectConfirmer()
    assert by(play(confirmer, [None, LOST, shown(1, "preview"), shown(1)])) == [None] * 4
    confirmer.confirm("key", 345_000_000)
    results = [shown(1), shown(1, "held"), shown(1), shown(2), shown(1), LOST, shown(1)]
    found = play(confirmer, results, 4)
    assert by(found) == [("key", 1)] * 3 + [None] * 4
    assert found[0].at_ns == 345_000_000


def test_two_confirmations_of_one_object_differ():
    confirmer = ObjectConfirmer()
    play(confirmer, [shown(1)])
    confirmer.confirm("request", 5)
    confirmer.confirm("key", 6)
    assert by(play(confirmer, [shown(1)], 1)) == [("key", 2)]
    confirmer.reset()
    play(confirmer, [shown(1)], 2)
    confirmer.confirm("pinch", 7, 2 * STEP_NS)
    assert by(play(confirmer, [shown(1)], 3)) == [("pinch", 3)], "a source that restarts does not repeat numbers"


def test_what_was_confirmed_in_an_earlier_frame_had_to_be_shown_in_it():
    confirmer = ObjectConfirmer()
    play(confirmer, [shown(1), shown(2), shown(2)])  # the second one's first frame was captured at 80 ms
    with pytest.raises(CommandRejected, match="object 2 was not on show yet"):
        confirmer.confirm("pinch", 300_000_000, 79_000_000)
    assert play(confirmer, [shown(2)], 3) == [None]
    confirmer.confirm("pinch", 300_000_000, 80_000_000)
    assert play(confirmer, [shown(2)], 4)[0].at_ns == 80_000_000


@pytest.mark.parametrize(
    ("results", "first"),
    [
        ([shown(1, "preview")] * 3 + [shown(1)] * 20, 10),
        ([shown(1)] * 5 + [shown(1, "held")] * 3 + [shown(1)] * 10, 13),  # a blink is no rest, and ends none
        ([shown(1)] * 9 + [shown(2)] * 12, 19),  # each object needs a rest of its own
        ([shown(1)] * 9 + [shown(2)] + [shown(1)] * 9, None),  # and has forgotten it when the eyes come back
        ([shown(1)] * 9 + [LOST] + [shown(1)] * 9, None),
        ([shown(1, "held")] * 30, None),  # held by the user, while the eyes are elsewhere
    ],
)
def test_a_long_rest_confirms(results, first):
    found = by(play(ObjectConfirmer(1.0), results))
    expected = len(results) if first is None else first
    assert found[:expected] == [None] * expected
    assert set(found[expected:]) == ({("dwell", 1)} if first is not None else set())
    assert by(play(ObjectConfirmer(), results)) == [None] * len(results), "off by default"


def test_a_rest_confirms_no_object_that_is_confirmed_already():
    confirmer = ObjectConfirmer(1.0)
    play(confirmer, [shown(1)] * 5)
    confirmer.confirm("key", 0)
    assert set(by(play(confirmer, [shown(1)] * 30, 5))) == {("key", 1)}
    confirmer.revoke()  # the user has chosen another mask of it
    found = by(play(confirmer, [shown(1)] * 15, 35))
    assert found == [None] * 9 + [("dwell", 2)] * 6


@settings(max_examples=60)
@given(
    st.lists(st.tuples(st.sampled_from(["key", "look", "lose", "chosen"]), st.integers(1, 3)), max_size=40),
    st.sampled_from([0.0, 0.3]),
)
def test_a_confirmation_is_never_of_another_object(events, dwell_s):
    confirmer, now, on_show, previous, highest = ObjectConfirmer(dwell_s), 0, None, (None, None), 0
    for kind, number in events:
        if kind == "key" and on_show is not None:
            confirmer.confirm("key", now * STEP_NS)
        elif kind == "chosen":
            confirmer.revoke()
        elif kind != "key":
            on_show = number if kind == "look" else None
        found = play(confirmer, [LOST if on_show is None else shown(on_show)], now)[0]
        now += 1
        if found is None:
            previous = (None, None)
            continue
        assert on_show is not None
        assert found.number >= highest
        if found.number == highest:
            assert previous == (on_show, found), "an old confirmation belongs to the object that had it before"
        previous, highest = (on_show, found), found.number


def test_the_shown_object_is_confirmed_until_the_eyes_leave_it():
    world = World(age=2, speed=0.0)
    with pytest.raises(CommandRejected, match="nothing is on show"):
        world.tracker.control.confirm("key")
    before = world.run(WITHIN)
    assert before.confirmed is None
    with pytest.raises(CommandRejected, match=f"object 99 is not on show, {before.object} is"):
        world.tracker.control.confirm("key", 99)
    at_ns = world.now_ns
    assert world.tracker.control.confirm("key", before.object) == before.object
    after = masked(world.play(6))
    assert by(each.confirmed for each in after) == [("key", 1)] * 6
    assert after[0].confirmed.at_ns == at_ns
    left = masked(world.play(24, gaze_at=AWAY))
    assert {each.confirmed is None for each in left if each.state != "held"} == {True}
    assert world.run(WITHIN).confirmed is None, "nor is it when the eyes come back"


@pytest.mark.parametrize("command", [("clear",), ("step_level", -1), ("step_alternative", 1)])
def test_another_mask_chosen_by_the_user_is_not_confirmed(command):
    world = Ringed(age=2, speed=0.0)
    world.run(2 * WITHIN)
    world.tracker.control.confirm("request")
    assert world.run(1).confirmed is not None
    getattr(world.tracker.control, command[0])(*command[1:])
    assert {each.confirmed for each in masked(world.play(4))} == {None}


@pytest.mark.parametrize("confirms", [False, True])
def test_a_confirmed_mask_is_not_stepped_by_a_long_fixation(confirms):
    dwell = DwellSettings(confirm_s=0.7 if confirms else 0.0, step_s=1.0)
    world = Ringed(age=2, speed=0.0, settings=TrackerSettings(dwell=dwell))
    world.run(72)
    assert bool(world.tracker._shown.dwell.counts["steps"]) is not confirms


def test_a_long_fixation_confirms_in_the_tracker():
    dwell = DwellSettings(confirm_s=0.8, steps=False)
    confirmed = [
        each.confirmed for each in masked(World(speed=0.0, settings=TrackerSettings(dwell=dwell)).play(48)) if each
    ]
    assert {each.by for each in confirmed if each} == {"dwell"}
    assert confirmed[-1].number == 1
