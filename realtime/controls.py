"""What a user can ask for while it runs; the track thread obeys between two frames. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol, get_args, runtime_checkable

from realtime.latest import Backlog

Verb = Literal["part", "whole", "hold", "clear", "record", "snapshot"]
VERBS: tuple[Verb, ...] = get_args(Verb)
STEERING: tuple[Verb, ...] = ("part", "whole", "hold", "clear")
"""What concerns the mask itself, and is the tracker's to do; the rest is the run's."""
MOST = 64


@dataclass(frozen=True, slots=True)
class Command:
    """One press of a button.

    part, whole: a step to a smaller or a larger thing. hold: keep what is on show (`on`), or follow the eyes again.
    clear: show nothing until the eyes rest anew. record: start (`on`) or stop. snapshot: keep this frame and its mask.
    """

    verb: Verb
    on: bool = True


class Commands(Backlog[Command]):
    """Commands on their way to the track thread; of more than `MOST` the oldest are lost, and counted."""

    def __init__(self) -> None:
        super().__init__(MOST)


@runtime_checkable
class Steered(Protocol):
    """A tracker that can be told what to show."""

    def want(self, step: int) -> None:
        """Show something smaller (-1) or larger (1)."""
        ...

    def hold(self, on: bool) -> None:
        """Keep what is on show whatever the eyes do, or no longer."""
        ...

    def clear(self) -> None:
        """Show nothing until the eyes rest anew."""
        ...


def steer(tracker: Steered, command: Command) -> None:
    """Have the tracker do what concerns the mask."""
    if command.verb in ("part", "whole"):
        tracker.want(1 if command.verb == "whole" else -1)
    elif command.verb == "hold":
        tracker.hold(command.on)
    elif command.verb == "clear":
        tracker.clear()
