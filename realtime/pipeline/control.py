"""What a user can ask for while it runs; the track thread obeys between two frames. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol, get_args, runtime_checkable

from realtime.errors import CommandRejected
from realtime.infra.channels import BoundedQueue
from realtime.tracking.user_overrides import ExternalObjects

CommandVerb = Literal["part", "whole", "hold", "clear", "know", "record", "snapshot"]
ALL_VERBS: tuple[CommandVerb, ...] = get_args(CommandVerb)
USER_VERBS: tuple[CommandVerb, ...] = ("part", "whole", "hold", "clear", "record", "snapshot")
"""Those that a person has buttons for."""
TRACKER_VERBS: tuple[CommandVerb, ...] = ("part", "whole", "hold", "clear", "know")
"""What concerns the mask itself, and is the tracker's to do; the rest is the run's."""
MAX_QUEUED = 64


@dataclass(frozen=True, slots=True)
class UserCommand:
    """One press of a button.

    part, whole: a step to a smaller or a larger thing. hold: keep what is on show (`on`), or follow the eyes again.
    clear: show nothing until the eyes rest anew. record: start (`on`) or stop. snapshot: keep this frame and its mask.
    know: remember what was found by others (`known`).

    object: hold only if this one is on show. answer: is told what came of it, a `CommandRejected` if nothing did, on the thread
    that obeys; not for recordings.
    """

    verb: CommandVerb
    on: bool = True
    object: int | None = None
    known: ExternalObjects | None = None
    reply: Callable[[Any], None] | None = field(default=None, compare=False, repr=False)

    def with_reply(self, reply: Callable[[Any], None]) -> UserCommand:
        """The same, with somebody who waits for what comes of it."""
        return replace(self, reply=reply)


class CommandQueue(BoundedQueue[UserCommand]):
    """Commands on their way to the track thread; of more than `MAX_QUEUED` the oldest are lost, and counted."""

    def __init__(self) -> None:
        super().__init__(MAX_QUEUED)


@runtime_checkable
class SteerableTracker(Protocol):
    """A tracker that can be told what to show."""

    def step_level(self, step: int) -> None:
        """Show something smaller (-1) or larger (1)."""
        ...

    def hold(self, on: bool, object_id: int | None = None) -> int:
        """Keep what is on show whatever the eyes do, or no longer; gives its id.

        Raises `CommandRejected` where nothing is on show, or something else than `object_id`.
        """
        ...

    def clear(self) -> None:
        """Show nothing until the eyes rest anew."""
        ...

    def add_external_objects(self, known: ExternalObjects) -> list[int | None]:
        """Remember things; gives their ids, None for what could not be carried to the newest frame."""
        ...


def apply_command(tracker: SteerableTracker, command: UserCommand) -> None:
    """Have the tracker do what concerns the mask, and tell whoever waits what came of it."""
    said: Any = None
    try:
        if command.verb in ("part", "whole"):
            tracker.step_level(1 if command.verb == "whole" else -1)
        elif command.verb == "hold":
            said = tracker.hold(command.on, command.object)
        elif command.verb == "clear":
            tracker.clear()
        elif command.verb == "know" and command.known is not None:
            said = tracker.add_external_objects(command.known)
    except CommandRejected as error:
        said = error
    if command.reply is not None:
        command.reply(said)
