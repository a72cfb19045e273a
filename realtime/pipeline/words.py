"""Takes users' words to the thread that encodes them, and to the tracker from there."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from realtime.errors import CommandRejected

MAX_WORDS_WAITING = 16
MAX_WORD_CHARS = 80


@dataclass(frozen=True, slots=True)
class WordAnswer:
    """The answer to a word that was set. near: known names like an unknown word."""

    text: str
    is_known: bool
    near: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class WordRequest:
    """A request to search for a word beside the gaze.

    text: "" for no word. seconds: how long; None until it is replaced. reply: receives the answer, or the
    `CommandRejected` with the reason; on any thread. withdrawn: set by who gives up waiting for it: a word that is not
    in force by then never will be.
    """

    text: str
    seconds: float | None = None
    reply: Callable[[WordAnswer | CommandRejected], None] = field(default=lambda answer: None, compare=False)
    withdrawn: threading.Event = field(default_factory=threading.Event, compare=False)


def describe_answer(answer: WordAnswer | CommandRejected) -> str:
    """Describe the answer to a word for people."""
    if isinstance(answer, CommandRejected):
        return f"the word was refused: {answer}"
    if answer.is_known or not answer.text:
        return f"searching for {answer.text!r}" if answer.text else "searching for no word"
    hint = f"; it knows {', '.join(answer.near)}" if answer.near else "; try an English name, such as cup"
    return f"the recognizer does not know {answer.text!r}, which changes nothing{hint}"


class WordQueue:
    """A bounded queue of words to the thread that encodes them; a word that finds it full is refused."""

    def __init__(self) -> None:
        self._requests: queue.Queue[WordRequest | None] = queue.Queue(MAX_WORDS_WAITING)

    def put(self, request: WordRequest) -> None:
        """Append a request without blocking; from any thread."""
        try:
            self._requests.put_nowait(request)
        except queue.Full:
            request.reply(CommandRejected("too many words are waiting already; give it again later"))

    def get(self, timeout_s: float | None = None) -> WordRequest | None:
        """Wait for a request and remove it; None after the timeout."""
        try:
            return self._requests.get(timeout=timeout_s) if timeout_s else self._requests.get_nowait()
        except queue.Empty:
            return None
