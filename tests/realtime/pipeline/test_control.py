"""Commands reach the tracker when it can be steered, and the run otherwise, between two frames."""

from dataclasses import replace

from realtime.errors import CommandRejected
from realtime.pipeline.control import (
    MAX_QUEUED,
    TRACKER_VERBS,
    USER_VERBS,
    CommandQueue,
    UserCommand,
    apply_command,
)
from realtime.tracking.user_overrides import ExternalObjects
from realtime.types import FrameKey


class Tracker:
    def __init__(self):
        self.told = []

    def step_level(self, step):
        self.told.append(("step_level", step))

    def hold(self, on, object_id=None):
        self.told.append(("hold", on))
        if object_id == 9:
            raise CommandRejected("object 9 is not on show, 4 is")
        return 4

    def clear(self):
        self.told.append(("clear",))

    def add_external_objects(self, known):
        self.told.append(("add_external_objects", known))
        return [5]


KNOWN = ExternalObjects(FrameKey(1, 2), (None,))


def test_each_steering_verb_is_one_call():
    tracker = Tracker()
    for verb in TRACKER_VERBS:
        apply_command(tracker, UserCommand(verb, on=False, known=KNOWN))
    assert tracker.told == [
        ("step_level", -1),
        ("step_level", 1),
        ("hold", False),
        ("clear",),
        ("add_external_objects", KNOWN),
    ]


def test_who_waits_is_told_what_came_of_it():
    said = []
    for command in (
        UserCommand("hold"),
        UserCommand("hold", object=9),
        UserCommand("know", known=KNOWN),
        UserCommand("clear"),
    ):
        apply_command(Tracker(), replace(command, reply=said.append))
    assert said[0] == 4
    assert isinstance(said[1], CommandRejected)
    assert said[2:] == [[5], None]


def test_what_is_not_the_trackers_is_left_alone():
    tracker = Tracker()
    for verb in set(USER_VERBS) - set(TRACKER_VERBS):
        apply_command(tracker, UserCommand(verb))
    assert tracker.told == []


def test_commands_are_bounded_and_the_lost_are_counted():
    commands = CommandQueue()
    for _ in range(MAX_QUEUED + 5):
        commands.put(UserCommand("clear"))
    assert commands.dropped == 5
    assert len(commands.drain()) == MAX_QUEUED
