"""Answers the requests of other programs about one session, without blocking its pipeline or other requests."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable

from calibration import CalibrationError
from engines import Decoder, EngineError
from realtime.comms.requests import (
    AlternativeRequest,
    ConfirmRequest,
    EverythingRequest,
    HoldRequest,
    ReleaseRequest,
    Request,
    SegmentRequest,
    SetWordRequest,
    pack_refusal,
)
from realtime.errors import GazecastError
from realtime.infra.threads import run_to_end
from realtime.pipeline.control import CommandQueue
from realtime.pipeline.observers import FrameResult, PipelineObserver
from realtime.pipeline.request_handler import RequestHandler, RequestRefused
from realtime.pipeline.words import WordQueue
from realtime.tracking.keyframe import Keyframe
from realtime.tracking.word_search import WordState

log = logging.getLogger(__name__)
Reply = Callable[[bytes], None]
"""Sends a packed reply to the client of a request; from any thread, at once."""
POLL_S = 0.1
MAX_SEGMENTATIONS, MAX_HOLDS = 4, 32


class RequestWorker:
    """A worker that answers queued requests one after the other; its thread starts with the first one."""

    def __init__(self, name: str, answer: Callable[[Request], bytes], limit: int) -> None:
        self._name, self._answer = name, answer
        self._jobs: queue.Queue[tuple[Request, Reply]] = queue.Queue(limit)
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()

    def put(self, request: Request, reply: Reply) -> None:
        """Queue a request; raises `RequestRefused` where too many wait. From one thread."""
        try:
            self._jobs.put_nowait((request, reply))
        except queue.Full:
            raise RequestRefused("too many requests are waiting already; ask again later") from None
        if self._thread is None and not self._stopping.is_set():
            thread = threading.Thread(target=self._run, name=f"gazecast-requests-{self._name}", daemon=True)
            thread.start()
            self._thread = thread

    def close(self) -> None:
        """End the thread within half a second, without replies to unfinished requests."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(0.5)

    def _run(self) -> None:
        run_to_end(self._answer_all, self._stopping.is_set, lambda error: log.warning("requests: %s", error))

    def _answer_all(self) -> None:
        while not self._stopping.is_set():
            try:
                request, reply = self._jobs.get(timeout=POLL_S)
            except queue.Empty:
                continue
            reply(self._answer(request))


class SessionRequests(PipelineObserver):
    """Answers requests about one session, of which it observes the newest frame, keyframe and masks.

    Quick ones are answered at once. Segmentation, commands to the tracker, which executes them between two frames, and
    words are queued for one worker each.
    """

    name = "requests"

    def __init__(self, stream: str, commands: CommandQueue, words: WordQueue, clock_ns: Callable[[], int]) -> None:
        self.stream = stream
        self._handler = RequestHandler(stream, commands, words, clock_ns)
        self._segmenting = RequestWorker("work", self._answer, MAX_SEGMENTATIONS)
        self._steering = RequestWorker("steering", self._answer, MAX_HOLDS)
        self._wording = RequestWorker("words", self._answer, MAX_HOLDS)
        self.refused = 0
        """Number of refused requests."""

    def submit(self, request: Request, reply: Reply) -> None:
        """Answer a request, or queue it; raises `RequestRefused` where too many wait. From one thread."""
        if isinstance(request, SegmentRequest | EverythingRequest):
            self._segmenting.put(request, reply)
        elif isinstance(request, HoldRequest | ReleaseRequest | AlternativeRequest | ConfirmRequest):
            self._steering.put(request, reply)
        elif isinstance(request, SetWordRequest):
            self._wording.put(request, reply)
        else:
            reply(self._answer(request))

    def close(self) -> None:
        """Stop within a second, without replies to unfinished requests; idempotent."""
        self._handler.stopping.set()
        for worker in (self._segmenting, self._steering, self._wording):
            worker.close()

    def on_engine(self, decoder: Decoder) -> None:
        """Store the decoder; calls of it must be short."""
        self._handler.decoder = decoder

    def on_keyframe(self, keyframe: Keyframe) -> None:
        """Store the newest keyframe."""
        self._handler.keyframe = keyframe

    def on_mask(self, result: FrameResult) -> None:
        """Store the newest result."""
        self._handler.update(result)

    def on_word(self, word: WordState | None) -> None:
        """Store the word in force."""
        self._handler.word = word

    def on_message(self, topic: str, payload: bytes) -> None:
        """Add masks to the history."""
        if topic == "mask":
            self._handler.history.add(payload)

    def refuse(self, error: Exception) -> bytes:
        """Count and pack a refusal."""
        self.refused += 1
        return pack_error(error)

    def _answer(self, request: Request) -> bytes:
        try:
            return self._handler.reply(request)
        except Exception as error:  # one request that fails must not be the last
            return self.refuse(error)


def pack_error(error: Exception) -> bytes:
    """Pack a refusal for an error: the text of one that a client can cause, else also its type."""
    is_expected = isinstance(error, GazecastError | RequestRefused | EngineError | CalibrationError)
    return pack_refusal(str(error) if is_expected else f"{type(error).__name__}: {error}")
