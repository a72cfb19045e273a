"""Serves requests of other programs on threads of their own, without blocking the pipeline.

The socket thread answers quick requests at once. Segmentation, commands to the tracker, which executes them between two
frames, and words are queued for one worker thread each.
"""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable

from engines import Decoder, EngineError
from realtime.comms.requests import (
    MAX_REQUEST_BYTES,
    AlternativeRequest,
    ConfirmRequest,
    EverythingRequest,
    HoldRequest,
    ReleaseRequest,
    Request,
    SegmentRequest,
    SetWordRequest,
    pack_refusal,
    read_request,
    required_permission,
)
from realtime.comms.sockets.curve import ServerAccess
from realtime.comms.sockets.request_reply import ClientId, ReplySocket
from realtime.errors import WireError
from realtime.pipeline.control import CommandQueue
from realtime.pipeline.observers import FrameResult, PipelineObserver
from realtime.pipeline.request_handler import RequestHandler, RequestRefused
from realtime.pipeline.words import WordQueue
from realtime.tracking.keyframe import Keyframe
from realtime.tracking.word_search import WordState

_Jobs = queue.Queue[tuple[ClientId, Request]]
POLL_S = 0.1
RECEIVE_S = 0.02
"""How long the reply of a worker may wait for the socket thread."""
MAX_SEGMENTATIONS, MAX_HOLDS = 4, 32


class RequestServer(PipelineObserver):
    """A server that runs from its construction to `close`."""

    name = "requests"

    def __init__(
        self,
        endpoint: str,
        stream: str,
        commands: CommandQueue,
        words: WordQueue,
        clock_ns: Callable[[], int],
        access: ServerAccess | None = None,
    ) -> None:
        """Bind the socket and start the threads; raises `TransportError`. access: as of `ReplySocket`."""
        self._handler = RequestHandler(stream, commands, words, clock_ns)
        self._access = access or ServerAccess(output="requests")
        self._socket = ReplySocket(endpoint, max_bytes=MAX_REQUEST_BYTES, access=self._access)
        self.endpoint = self._socket.endpoint
        self._segmentations: _Jobs = queue.Queue(MAX_SEGMENTATIONS)
        self._holds: _Jobs = queue.Queue(MAX_HOLDS)
        self._words: _Jobs = queue.Queue(MAX_HOLDS)
        self._replies: deque[tuple[ClientId, bytes]] = deque()
        self._refused = 0
        self._threads = [
            threading.Thread(target=body, args=args, name=f"gazecast-requests-{name}", daemon=True)
            for name, body, args in (
                ("socket", self._serve, ()),
                ("work", self._work, (self._segmentations,)),
                ("steering", self._work, (self._holds,)),
                ("words", self._work, (self._words,)),
            )
        ]
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """Stop within a second, without replies to unfinished requests; idempotent."""
        self._handler.stopping.set()
        for thread in self._threads:
            thread.join(0.5)

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

    def drop_counts(self) -> dict[str, int]:
        """Return the numbers of refused requests, refused clients and of replies that no client read."""
        counts = {
            "requests.refused": self._refused + self._socket.refused,
            "requests.refused_peers": self._socket.refused_peers,
            "requests.unread": self._socket.unread,
        }
        return {name: count for name, count in counts.items() if count}

    def _serve(self) -> None:
        """Receive requests and send replies; the body of the socket thread."""
        try:
            while not self._handler.stopping.is_set():
                while self._replies:
                    self._socket.reply(*self._replies.popleft())
                received = self._socket.receive(RECEIVE_S)
                if received is not None:
                    self._receive(*received)
        finally:
            self._socket.close()

    def _receive(self, client: ClientId, payload: bytes, client_key: str | None) -> None:
        try:
            request = read_request(payload)
            self._check_permission(request, client_key)
        except Exception as error:  # one request that fails must not be the last
            self._socket.reply(client, self._refuse(error))
            return
        if isinstance(request, SegmentRequest | EverythingRequest):
            self._queue(self._segmentations, client, request)
        elif isinstance(request, HoldRequest | ReleaseRequest | AlternativeRequest | ConfirmRequest):
            self._queue(self._holds, client, request)
        elif isinstance(request, SetWordRequest):
            self._queue(self._words, client, request)
        else:
            self._socket.reply(client, self._reply(request))

    def _check_permission(self, request: Request, client_key: str | None) -> None:
        """Raise `RequestRefused` for a request that its client may not make."""
        needed = required_permission(request)
        if self._access.allows(client_key, needed):
            return
        if client_key is None:
            raise RequestRefused("without keys, requests from other machines only read: status and history")
        may = f" --may {needed}" if needed else ""
        raise RequestRefused(f"this key may not do that; on the run's machine: gazecast keys allow {client_key}{may}")

    def _queue(self, jobs: _Jobs, client: ClientId, request: Request) -> None:
        try:
            jobs.put_nowait((client, request))
        except queue.Full:
            error = RequestRefused("too many requests are waiting already; ask again later")
            self._socket.reply(client, self._refuse(error))

    def _work(self, jobs: _Jobs) -> None:
        """Execute queued requests; the body of a worker thread."""
        while not self._handler.stopping.is_set():
            try:
                client, request = jobs.get(timeout=POLL_S)
            except queue.Empty:
                continue
            self._replies.append((client, self._reply(request)))

    def _reply(self, request: Request) -> bytes:
        try:
            return self._handler.reply(request)
        except Exception as error:  # one request that fails must not be the last
            return self._refuse(error)

    def _refuse(self, error: Exception) -> bytes:
        self._refused += 1
        is_expected = isinstance(error, WireError | RequestRefused | EngineError)
        return pack_refusal(str(error) if is_expected else f"{type(error).__name__}: {error}")
