"""Serves requests of other programs: receives them on a thread of its own, and checks who may make them."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from functools import partial

from realtime.comms.requests import (
    MAX_REQUEST_BYTES,
    AddressedRequest,
    read_addressed_request,
    required_permission,
)
from realtime.comms.sockets.curve import ServerAccess
from realtime.comms.sockets.request_reply import ClientId, ReceivedRequest, ReplySocket
from realtime.infra.threads import run_to_end
from realtime.pipeline.control import CommandQueue
from realtime.pipeline.request_handler import RequestRefused
from realtime.pipeline.session_requests import Reply, SessionRequests, pack_error
from realtime.pipeline.words import WordQueue

log = logging.getLogger(__name__)
RECEIVE_S = 0.02
"""How long the reply of a worker may wait for the socket thread."""
RouteRequest = Callable[[AddressedRequest, str | None, Reply], None]
"""Has a request of a client (its key, None without keys) answered; what it raises is the refusal."""


class RequestReceiver:
    """A receiver of requests that runs from its construction to `close`."""

    def __init__(self, endpoint: str, route: RouteRequest, access: ServerAccess | None = None) -> None:
        """Bind the socket and start the thread; raises `TransportError`. access: as of `ReplySocket`."""
        self._route = route
        self._access = access or ServerAccess(output="requests")
        self._socket = ReplySocket(endpoint, max_bytes=MAX_REQUEST_BYTES, access=self._access)
        self.endpoint = self._socket.endpoint
        self._replies: deque[tuple[ClientId, bytes]] = deque()
        self._refused = 0
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="gazecast-requests-socket", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop within half a second; idempotent."""
        self._stopping.set()
        self._thread.join(0.5)

    def drop_counts(self) -> dict[str, int]:
        """Return the numbers of refused requests, refused clients and of replies that no client read."""
        return {
            "requests.refused": self._refused + self._socket.refused,
            "requests.refused_peers": self._socket.refused_peers,
            "requests.unread": self._socket.unread,
        }

    def _serve(self) -> None:
        """Receive requests and send replies; the body of the thread."""
        run_to_end(self._exchange, self._stopping.is_set, lambda error: log.warning("requests: %s", error))
        self._socket.close()

    def _exchange(self) -> None:
        while not self._stopping.is_set():
            while self._replies:
                self._socket.reply(*self._replies.popleft())
            received = self._socket.receive(RECEIVE_S)
            if received is not None:
                self._receive(received)

    def _receive(self, received: ReceivedRequest) -> None:
        reply = partial(self._queue_reply, received.client)
        try:
            addressed = read_addressed_request(received.payload)
            self._check_permission(addressed, received.client_key)
            self._route(addressed, received.client_key, reply)
        except Exception as error:  # one request that fails must not be the last
            self._refused += 1
            reply(pack_error(error))

    def _queue_reply(self, client: ClientId, payload: bytes) -> None:
        self._replies.append((client, payload))

    def _check_permission(self, addressed: AddressedRequest, client_key: str | None) -> None:
        """Raise `RequestRefused` for a request that its client may not make."""
        needed = required_permission(addressed.request)
        if self._access.allows(client_key, needed):
            streams = self._access.find_streams(client_key)
            if streams is not None and addressed.stream not in streams:
                raise RequestRefused(f"this key is for requests about {', '.join(streams)} only; name the stream")
            return
        if client_key is None:
            raise RequestRefused("without keys, requests from other machines only read: status and history")
        may = f" --may {needed}" if needed else ""
        raise RequestRefused(f"this key may not do that; on the run's machine: gazecast keys allow {client_key}{may}")


class RequestServer(SessionRequests):
    """A server of the requests about the one session of a run, from its construction to `close`."""

    def __init__(
        self,
        endpoint: str,
        stream: str,
        commands: CommandQueue,
        words: WordQueue,
        clock_ns: Callable[[], int],
        access: ServerAccess | None = None,
    ) -> None:
        """Bind the socket and start to answer; raises `TransportError`. access: as of `ReplySocket`."""
        super().__init__(stream, commands, words, clock_ns)
        self._receiver = RequestReceiver(endpoint, self._route, access)
        self.endpoint = self._receiver.endpoint

    def close(self) -> None:
        """Stop within a second, without replies to unfinished requests; idempotent."""
        super().close()
        self._receiver.close()

    def drop_counts(self) -> dict[str, int]:
        """Return the numbers of refused requests, refused clients and of replies that no client read."""
        counts = self._receiver.drop_counts()
        counts["requests.refused"] += self.refused
        return {name: count for name, count in counts.items() if count}

    def _route(self, addressed: AddressedRequest, client_key: str | None, reply: Reply) -> None:
        if addressed.stream not in (None, self.stream):
            raise RequestRefused(f"this run publishes {self.stream!r}, not {addressed.stream!r}")
        self.submit(addressed.request, reply)
