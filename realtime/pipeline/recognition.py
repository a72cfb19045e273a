"""Recognizes objects in keyframes, in a bounded share of the time that encoding takes, and encodes users' words."""

from __future__ import annotations

import threading

from engines import Encoder, EngineError
from engines.recognition.base import ObjectRecognizer, Recognition, WordQuery
from engines.recognition.name_words import find_similar_names
from realtime.errors import CommandRejected
from realtime.infra.clock import now_ns
from realtime.infra.threads import lower_priority, retry_without_memory
from realtime.pipeline.context import PipelineContext
from realtime.pipeline.control import UserCommand
from realtime.pipeline.words import WordAnswer, WordRequest
from realtime.tracking.word_search import WordState
from realtime.types import Frame

OPENER_NICE = 10
POLL_S = 0.2
MAX_NEAR_NAMES = 3
"""Shown for an unknown word."""


WORD_SEARCH_NS, WORD_SEARCH_COSTS = 1_000_000_000, 10
"""While a word is searched for, a keyframe is searched at the latest after this time and so many times the cost of a
search: what the one forced by the word found is forgotten where the source begins anew, and an engine that is much
faster than the recognizer does not earn another."""


class RecognitionWorker:
    """Recognizes objects on the encode thread, once the recognizer is open.

    Every encode adds a share of its time to a balance, and a search costs its own time: so objects are recognized in
    every second keyframe, for example. Where every frame counts, they are recognized in all, so that a run does not
    depend on the machine's speed. While a word is searched for the share is larger, and a recognizer is opened where
    there was none.
    """

    def __init__(self, context: PipelineContext) -> None:
        self._context = context
        self._recognizer: ObjectRecognizer | None = None
        self._encoded = threading.Event()
        self._first_frame: Frame | None = None
        self._balance_ns = self._cost_ns = 0.0
        self._searched_ns = 0
        self._names: tuple[str, ...] = ()
        self._is_for_words = False  # it was opened for a word alone
        self._is_searching = self._is_due = False  # for a word; at once

    def run(self, encoder: Encoder) -> None:
        """Open the recognizer after the first keyframe, then encode words; the body of a thread."""
        lower_priority(OPENER_NICE)
        self._encoded.wait()
        if not self._context.stopping.is_set() and not self._context.options.every_frame:
            self.open_now(encoder)
        while not self._context.stopping.is_set():
            self.set_words(timeout_s=POLL_S)

    def open_now(self, encoder: Encoder) -> None:
        """Open the recognizer; an error is counted, and the run goes on without it."""

        def open_and_use() -> None:
            self._start_using(self._context.options.open_recognizer(encoder))

        with self._context.guard("recognizer"):
            retry_without_memory(open_and_use, self._context.stopping)

    def _start_using(self, recognizer: ObjectRecognizer | None) -> None:
        if recognizer is not None and self._first_frame is not None:
            # which compiles its graph, beside the encode thread
            self._names = recognizer.recognize(self._first_frame.image).names
        self._recognizer = recognizer

    def set_words(self, timeout_s: float | None = None) -> None:
        """Encode the words that wait, and pass them to the tracker; wait for one where a timeout is given."""
        while (request := self._context.options.words.get(timeout_s)) is not None:
            try:
                self._set_word(request)
            except EngineError as error:
                request.reply(CommandRejected(str(error)))
            except Exception as error:  # one word that fails must not be the last
                request.reply(CommandRejected(f"the word cannot be encoded ({type(error).__name__}: {error})"))

    def _set_word(self, request: WordRequest) -> None:
        if request.withdrawn.is_set():
            return
        text = " ".join(request.text.split())
        query: WordQuery | None = None
        if text:
            if self._recognizer is None:
                self._start_using(self._context.options.open_word_recognizer())
                self._is_for_words = True
            assert self._recognizer is not None
            query, self._is_due = self._recognizer.encode_word(text), True
        is_known = query is not None and query.is_known
        near = () if is_known or not text else find_similar_names(text, self._names)[:MAX_NEAR_NAMES]
        answer = WordAnswer(text, is_known, near)

        def reply(result: CommandRejected | None) -> None:
            request.reply(answer if result is None else result)

        command = UserCommand(
            "word", text=text, seconds=request.seconds, query=query, reply=reply, is_withdrawn=request.withdrawn.is_set
        )
        self._context.options.commands.put(command)

    def observe_word(self, word: WordState | None) -> None:
        """Learn which word the tracker searches for; from the track thread."""
        self._is_searching = word is not None and word.is_known

    def recognize(self, frame: Frame, encode_ns: int) -> Recognition | None:
        """Recognize the objects of a frame, which took so long to encode; None where it is not searched."""
        self._first_frame = self._first_frame or frame
        self._encoded.set()
        recognizer, options = self._recognizer, self._context.options
        is_wanted = self._is_searching or self._is_due
        if recognizer is None or (self._is_for_words and not is_wanted):
            return None
        share = options.word_share if is_wanted else options.recognizer_share
        self._balance_ns = min(self._balance_ns + share * encode_ns, self._cost_ns)
        latest_ns = self._searched_ns + max(WORD_SEARCH_NS, WORD_SEARCH_COSTS * self._cost_ns)
        is_due = self._is_due or (self._is_searching and now_ns() >= latest_ns)
        if self._balance_ns < self._cost_ns and not (options.every_frame or is_due):
            return None
        self._is_due = False
        begun_ns = now_ns()
        with self._context.guard("recognizer"):
            found = recognizer.recognize(frame.image)
            spent_ns = now_ns() - begun_ns
            # The first search of a shape compiles its graph, and others may meet a busy core.
            self._cost_ns = spent_ns if not self._cost_ns else min(spent_ns, 0.8 * self._cost_ns + 0.2 * spent_ns)
            self._balance_ns, self._searched_ns = 0.0, now_ns()
            self._names = found.names
            self._context.metrics.observe("recognize", spent_ns / 1e6, now_ns())
            return found
        return None

    def release(self) -> None:
        """End the wait for the first keyframe; call it after `stopping` was set."""
        self._encoded.set()

    def close(self) -> None:
        """Close the recognizer."""
        if self._recognizer is not None:
            self._recognizer.close()
