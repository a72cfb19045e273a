"""A socket that asks, and one that answers."""

from __future__ import annotations

from typing import NewType

import zmq

from realtime.comms.sockets.base import bind, check_endpoint, connect, whole_ms
from realtime.errors import RequestTimeout, TransportError


class RequestSocket:
    """Requests to a peer that answers one at a time (REQ to REP), used by one thread.

    After a timeout the socket is built anew: a REQ socket whose answer got lost would wait for it for ever.
    """

    def __init__(self, endpoint: str, *, timeout_s: float = 0.5, max_bytes: int = 64 * 1024) -> None:
        """`timeout_s` bounds every request, and so how long a thread that asks can keep its owner from stopping."""
        self._endpoint, self._timeout_s, self._max_bytes = check_endpoint(endpoint), timeout_s, max_bytes
        self._socket: zmq.Socket[bytes] | None = None

    def request(self, request: str) -> str:
        """Send a text and return the answer's; `RequestTimeout` after the timeout."""
        return self.exchange([request.encode()]).decode(errors="replace")

    def send_message(self, topic: str, payload: bytes) -> str:
        """Send a message of two parts and return the answer's text; `RequestTimeout` after the timeout."""
        return self.exchange([topic.encode(), payload]).decode(errors="replace")

    def exchange(self, parts: list[bytes]) -> bytes:
        """Send a message and return the answer's first part; `RequestTimeout` after the timeout."""
        if self._socket is None:
            self._socket = zmq.Context.instance().socket(zmq.REQ)
            self._socket.set(zmq.MAXMSGSIZE, self._max_bytes)
            connect(self._socket, self._endpoint)
        self._socket.send_multipart(parts)
        if not self._socket.poll(whole_ms(self._timeout_s)):
            self.close()
            raise RequestTimeout(f"no answer from {self._endpoint} within {self._timeout_s:g} s")
        return self._socket.recv_multipart()[0]

    def close(self) -> None:
        """Disconnect; the next request connects again."""
        if self._socket is not None:
            self._socket.close(0)
            self._socket = None


ClientId = NewType("ClientId", bytes)
"""Who asked, as the socket knows them."""
MAX_WAITING_REPLIES, MAX_WAITING_REQUESTS = 4, 32
"""That may wait for one peer, and of one peer; a REQ socket has one of each."""


class ReplySocket:
    """A bound socket that answers REQ sockets, many at a time and in any order; used by one thread.

    Who has gone, or asked anew instead of waiting, gets no answer and keeps nobody waiting. Who asks without reading
    the answers loses those that do not fit into a short queue: one may be as large as a minute of masks.
    """

    def __init__(self, endpoint: str, *, max_bytes: int = 1 << 20) -> None:
        """Bind; port 0 takes a free one, which `endpoint` then names. `TransportError` where that cannot be."""
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._socket = self._context.socket(zmq.ROUTER)
        self._socket.set(zmq.MAXMSGSIZE, max_bytes)
        self._socket.set(zmq.LINGER, 0)
        self._socket.set(zmq.SNDHWM, MAX_WAITING_REPLIES)
        self._socket.set(zmq.RCVHWM, MAX_WAITING_REQUESTS)
        self._socket.set(zmq.ROUTER_MANDATORY, 1)  # else what does not fit is dropped without a word
        self.refused = self.unread = 0
        try:
            self.endpoint = bind(self._socket, endpoint)
        except TransportError:
            self.close()
            raise

    def receive(self, timeout_s: float) -> tuple[ClientId, bytes] | None:
        """The next request, or None after the timeout; what is not of one part from a REQ socket is counted only."""
        if not self._socket.poll(whole_ms(timeout_s)):
            return None
        parts = self._socket.recv_multipart()
        if len(parts) != 3 or parts[1]:
            self.refused += 1
            return None
        return ClientId(parts[0]), parts[2]

    def reply(self, asker: ClientId, payload: bytes) -> None:
        """Answer; what its asker does not read, or is not there for any more, is counted."""
        try:
            self._socket.send_multipart([asker, b"", payload], zmq.NOBLOCK)
        except zmq.ZMQError as error:
            if error.errno not in (zmq.EAGAIN, zmq.EHOSTUNREACH):
                raise
            self.unread += 1

    def close(self) -> None:
        """Close and free the port before returning; closing twice is fine."""
        if not self._socket.closed:
            self._socket.close(100)
            self._context.term()
