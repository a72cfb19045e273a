"""Commands reach the tracker when it can be steered, and the run otherwise, between two frames."""

from realtime.controls import MOST, STEERING, VERBS, Command, Commands, Steered, steer


class Tracker:
    def __init__(self):
        self.told = []

    def want(self, step):
        self.told.append(("want", step))

    def hold(self, on):
        self.told.append(("hold", on))

    def clear(self):
        self.told.append(("clear",))


def test_each_steering_verb_is_one_call():
    tracker = Tracker()
    assert isinstance(tracker, Steered)
    for verb in STEERING:
        steer(tracker, Command(verb, on=False))
    assert tracker.told == [("want", -1), ("want", 1), ("hold", False), ("clear",)]


def test_what_is_not_the_trackers_is_left_alone():
    tracker = Tracker()
    for verb in set(VERBS) - set(STEERING):
        steer(tracker, Command(verb))
    assert tracker.told == []


def test_commands_are_bounded_and_the_lost_are_counted():
    commands = Commands()
    for _ in range(MOST + 5):
        commands.put(Command("clear"))
    assert commands.lost == 5
    assert len(commands.take_all()) == MOST
