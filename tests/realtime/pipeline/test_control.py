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
from realtime.tracking.external_objects import ExternalObjects
from realtime.types import FrameKey


class Control:
    def __init__(self):
        self.calls = []

    def step_level(self, step):
        self.calls.append(("step_level", step))

    def step_alternative(self, step):
        self.calls.append(("step_alternative", step))
        return 3

    def hold(self, on, object_id=None):
        self.calls.append(("hold", on))
        if object_id == 9:
            raise CommandRejected("object 9 is not on show, 4 is")
        return 4

    def confirm(self, by, object_id=None, seen_ns=None):
        self.calls.append(("confirm", by, object_id, seen_ns))
        return 4

    def set_word(self, query, seconds):
        self.calls.append(("set_word", query, seconds))

    def correct(self, clicks, frame_index, object_id, box):
        self.calls.append(("correct", clicks, frame_index, object_id, box))
        return 4

    def undo_correction(self, *, is_all):
        self.calls.append(("undo_correction", is_all))
        return 4

    def clear(self):
        self.calls.append(("clear",))

    def add_external_objects(self, known):
        self.calls.append(("add_external_objects", known))
        return [5]


KNOWN = ExternalObjects(FrameKey(1, 2), (None,))


def test_each_steering_verb_is_one_call():
    control = Control()
    for verb in TRACKER_VERBS:
        apply_command(control, UserCommand(verb, on=False, known=KNOWN))
    assert control.calls == [
        ("step_level", -1),
        ("step_level", 1),
        ("step_alternative", 1),
        ("step_alternative", -1),
        ("hold", False),
        ("clear",),
        ("confirm", "key", None, None),
        ("set_word", None, None),
        ("add_external_objects", KNOWN),
        ("correct", (), None, None, None),
        ("undo_correction", False),
        ("undo_correction", True),
    ]


def test_the_reply_receives_the_result_of_a_command():
    replies = []
    for command in (
        UserCommand("hold"),
        UserCommand("hold", object=9),
        UserCommand("know", known=KNOWN),
        UserCommand("clear"),
    ):
        apply_command(Control(), replace(command, reply=replies.append))
    assert replies[0] == 4
    assert isinstance(replies[1], CommandRejected)
    assert replies[2:] == [[5], None]


def test_commands_of_observers_are_not_applied_to_the_tracker():
    control = Control()
    for verb in set(USER_VERBS) - set(TRACKER_VERBS):
        apply_command(control, UserCommand(verb))
    assert control.calls == []


def test_commands_beyond_the_capacity_are_dropped_and_counted():
    commands = CommandQueue()
    for _ in range(MAX_QUEUED + 5):
        commands.put(UserCommand("clear"))
    assert commands.dropped == 5
    assert len(commands.drain()) == MAX_QUEUED
