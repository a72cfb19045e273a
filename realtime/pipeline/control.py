"""Defines the commands of users, which the track thread executes between two frames. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from engines.recognition.base import WordQuery
from realtime.errors import CommandRejected
from realtime.infra.channels import BoundedQueue
from realtime.tracking.correction_prompt import Box
from realtime.tracking.external_objects import ExternalObjects
from realtime.tracking.user_control import UserControl
from realtime.types import Click, ConfirmationMeans

CommandVerb = Literal[
    "part",
    "whole",
    "next",
    "previous",
    "hold",
    "clear",
    "confirm",
    "word",
    "know",
    "correct",
    "undo",
    "uncorrect",
    "record",
    "snapshot",
]
USER_VERBS: tuple[CommandVerb, ...] = (
    "part", "whole", "next", "previous", "hold", "clear", "confirm", "correct", "undo", "record", "snapshot",
)  # fmt: skip
"""The verbs that the page has buttons for."""
TRACKER_VERBS: tuple[CommandVerb, ...] = (
    "part", "whole", "next", "previous", "hold", "clear", "confirm", "word", "know", "correct", "undo", "uncorrect",
)  # fmt: skip
"""The verbs that the tracker executes; the observers execute the others."""
MAX_QUEUED = 64


@dataclass(frozen=True, slots=True)
class UserCommand:
    """A command of a user or a program.

    part, whole: select the next smaller or larger mask. next, previous: select another mask that may be meant.
    hold: keep the present object (`on`), or follow gaze again. clear: show no mask until the next fixation.
    confirm: mark the present object as meant by the wearer. by: the means. seen_ns: host time of the capture of the
        frame in which the wearer confirms; None: now.
    word: search for `text` beside the gaze, for so many `seconds` (None: until it is replaced); "" for no word. query:
        the word as the recognizer encoded it; recordings keep its text alone.
    record: start (`on`) or stop. snapshot: save this frame and its mask.
    know: track objects that were found outside the tracker (`known`).
    correct: correct the shown object's mask by `clicks`, or by a `box` (x0, y0, x1, y1), in px of frame `frame_index`
        (None: the newest). undo: take the last of these commands back. uncorrect: take all of them back.

    object: hold, confirm or correct only if this object is shown. reply: receives the result, or a `CommandRejected`,
    on the thread that executes the command; recordings do not keep it. is_withdrawn: asked before it is executed; who
    waited for the result may have given up.
    """

    verb: CommandVerb
    on: bool = True
    object: int | None = None
    known: ExternalObjects | None = None
    by: ConfirmationMeans = "key"
    seen_ns: int | None = None
    text: str = ""
    seconds: float | None = None
    clicks: tuple[Click, ...] = ()
    frame_index: int | None = None
    box: Box | None = None
    query: WordQuery | None = field(default=None, compare=False, repr=False)
    reply: Callable[[Any], None] | None = field(default=None, compare=False, repr=False)
    is_withdrawn: Callable[[], bool] | None = field(default=None, compare=False, repr=False)


def make_confirmation(
    by: ConfirmationMeans, notice: Callable[[str], None], *, object_id: int | None = None, seen_ns: int | None = None
) -> UserCommand:
    """Make a command that confirms the shown object, or reports by `notice` why it was refused."""

    def report(result: Any) -> None:
        if isinstance(result, CommandRejected):
            notice(f"Not confirmed: {result}.")

    return UserCommand("confirm", object=object_id, by=by, seen_ns=seen_ns, reply=report)


class CommandQueue(BoundedQueue[UserCommand]):
    """A queue of commands to the track thread; of more than `MAX_QUEUED` the oldest are dropped and counted."""

    def __init__(self) -> None:
        super().__init__(MAX_QUEUED)

    def drain(self) -> list[UserCommand]:
        """Remove all commands and return those that were not withdrawn, oldest first."""
        return [each for each in super().drain() if each.is_withdrawn is None or not each.is_withdrawn()]


def apply_command(control: UserControl, command: UserCommand) -> None:
    """Execute a command of `TRACKER_VERBS` and pass its result to `reply`."""
    result: Any = None
    try:
        if command.verb in ("part", "whole"):
            control.step_level(1 if command.verb == "whole" else -1)
        elif command.verb in ("next", "previous"):
            result = control.step_alternative(1 if command.verb == "next" else -1)
        elif command.verb == "hold":
            result = control.hold(command.on, command.object)
        elif command.verb == "clear":
            control.clear()
        elif command.verb == "confirm":
            result = control.confirm(command.by, command.object, command.seen_ns)
        elif command.verb == "word":
            control.set_word(command.query, command.seconds)
        elif command.verb == "know" and command.known is not None:
            result = control.add_external_objects(command.known)
        elif command.verb == "correct":
            result = control.correct(command.clicks, command.frame_index, command.object, command.box)
        elif command.verb in ("undo", "uncorrect"):
            result = control.undo_correction(is_all=command.verb == "uncorrect")
    except CommandRejected as error:
        result = error
    if command.reply is not None:
        command.reply(result)
