"""Sends requests on one kind of socket, and answers them on another."""

from __future__ import annotations

import time
from collections import deque
from typing import NamedTuple, NewType

import zmq

from realtime.comms.keys import ClientAccess
from realtime.comms.sockets.base import bind, check_endpoint, check_endpoint_host, connect, whole_ms
from realtime.comms.sockets.curve import (
    USER_ID,
    AccessGuard,
    HandshakeMonitor,
    ServerAccess,
    open_guard,
)
from realtime.errors import AccessError, RequestTimeout, TransportError


class RequestSocket:
    """A socket that sends requests and waits for each reply, used by one thread.

    After a timeout the socket is rebuilt: a REQ socket whose reply was lost would wait for it forever.
    """

    def __init__(
        self,
        endpoint: str,
        *,
        timeout_s: float = 0.5,
        max_bytes: int = 64 * 1024,
        access: ClientAccess | None = None,
    ) -> None:
        """Check the endpoint. timeout_s: limit of each request, and so of the delay when stopping."""
        self._endpoint, self._timeout_s, self._max_bytes = check_endpoint(endpoint), timeout_s, max_bytes
        self._access = access
        self._socket: zmq.Socket[bytes] | None = None
        self._monitor: HandshakeMonitor | None = None
        self._was_connected = False
        self.has_lost_peer = False
        """Whether the peer has disconnected since the last `send`, so that its reply will not come."""

    def request(self, request: str) -> str:
        """Send a text and return the reply's text; raises `RequestTimeout`."""
        return self.exchange([request.encode()]).decode(errors="replace")

    def send_message(self, topic: str, payload: bytes) -> str:
        """Send a message of two parts and return the reply's text; raises `RequestTimeout`."""
        return self.exchange([topic.encode(), payload]).decode(errors="replace")

    def exchange(self, parts: list[bytes]) -> bytes:
        """Send a message and return the reply's first part.

        Raises `RequestTimeout` without a reply, `AccessError` where the server refuses this client, `TransportError`
        where the host cannot be resolved.
        """
        self.send(parts)
        reply = self.receive(self._timeout_s)
        if reply is None:
            self.close()
            check_endpoint_host(self._endpoint)
            raise RequestTimeout(f"no answer from {self._endpoint} within {self._timeout_s:g} s")
        return reply

    def send(self, parts: list[bytes]) -> None:
        """Send a message; before the next one its reply is received, or the socket closed.

        That takes no time, unless the server has ended the connection: raises `AccessError` where it refuses this
        client, else `RequestTimeout`.
        """
        if self._socket is None or self._monitor is None:
            self._socket = zmq.Context.instance().socket(zmq.REQ)
            self._socket.set(zmq.MAXMSGSIZE, self._max_bytes)
            self._socket.set(zmq.SNDTIMEO, whole_ms(self._timeout_s))  # without a connection it would wait for ever
            self._monitor = HandshakeMonitor(self._socket, self._endpoint, self._access)
            connect(self._socket, self._endpoint)
            self._was_connected = False
        self.has_lost_peer = False
        try:
            self._socket.send_multipart(parts)
        except zmq.Again:
            self._monitor.read_events()
            refusal = self._monitor.refusal
            self.close()
            if refusal:
                raise AccessError(refusal) from None
            raise RequestTimeout(f"{self._endpoint} takes no request within {self._timeout_s:g} s") from None

    def receive(self, timeout_s: float) -> bytes | None:
        """Wait for the first part of the reply; None after the timeout, when it may still come.

        Raises `AccessError` where the server refuses this client.
        """
        assert self._socket is not None
        assert self._monitor is not None
        if self._wait_for_reply(self._socket, self._monitor, timeout_s):
            return self._socket.recv_multipart()[0]
        if refusal := self._monitor.refusal:
            self.close()
            raise AccessError(refusal)
        return None

    def _wait_for_reply(self, socket: zmq.Socket[bytes], monitor: HandshakeMonitor, timeout_s: float) -> bool:
        """Wait until there is a reply; False after the timeout, or when the server refuses."""
        poller, until_s = zmq.Poller(), time.monotonic() + timeout_s
        for each in (socket, monitor.socket):
            poller.register(each, zmq.POLLIN)
        while not monitor.refusal:
            ready = dict(poller.poll(whole_ms(until_s - time.monotonic())))
            if socket in ready:
                return True
            if not ready:
                return False
            for event in monitor.read_events():
                self._was_connected |= event == zmq.Event.HANDSHAKE_SUCCEEDED
                self.has_lost_peer |= self._was_connected and event == zmq.Event.DISCONNECTED
        return False

    def close(self) -> None:
        """Disconnect; the next request connects again."""
        if self._socket is not None:
            if self._monitor is not None:
                self._monitor.close()
            self._socket.close(0)
            self._socket = self._monitor = None


ClientId = NewType("ClientId", bytes)
"""A client's address on the socket."""


class ReceivedRequest(NamedTuple):
    """A request as received. client_key: the public key that its client connected with, None without keys."""

    client: ClientId
    payload: bytes
    client_key: str | None


MAX_WAITING_REPLIES, MAX_WAITING_REQUESTS = 4, 32
"""Limits per client in the socket; a REQ socket has one of each."""
MAX_HELD_REPLIES, MAX_HELD_BYTES = 1024, 4 << 20
"""Limits, of all clients, of replies that a client's connection has no room for yet."""
HELD_S = 0.005
"""Time between attempts to send them."""


class ReplySocket:
    """A bound socket that answers many REQ sockets in any order, used by one thread.

    A client that disconnected, or sent a new request instead of waiting, gets no reply and delays no other client.
    Replies to a client that sends many requests at once are held until it reads; one that never does loses those
    beyond a bounded number: one reply may hold a minute of masks.
    """

    def __init__(self, endpoint: str, *, max_bytes: int = 1 << 20, access: ServerAccess | None = None) -> None:
        """Bind; port 0 takes a free one, which `endpoint` then names. Raises `TransportError`.

        access: who may connect; by default all of this machine, and no other.
        """
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._socket = self._context.socket(zmq.ROUTER)
        self._socket.set(zmq.MAXMSGSIZE, max_bytes)
        self._socket.set(zmq.LINGER, 0)
        self._socket.set(zmq.SNDHWM, MAX_WAITING_REPLIES)
        self._socket.set(zmq.RCVHWM, MAX_WAITING_REQUESTS)
        self._socket.set(zmq.ROUTER_MANDATORY, 1)  # else a reply that does not fit is dropped silently
        self.refused = self.unread = 0
        self._held: dict[ClientId, deque[bytes]] = {}
        self._held_count = self._held_bytes = 0
        self._guard: AccessGuard | None = None
        try:
            self._guard = open_guard(self._context, self._socket, endpoint, access or ServerAccess(output="requests"))
            self.endpoint = bind(self._socket, endpoint)
            if self._guard is not None:
                self._guard.endpoint = self.endpoint
        except TransportError:
            self.close()
            raise

    @property
    def refused_peers(self) -> int:
        """Number of handshakes that failed."""
        return self._guard.refused if self._guard is not None else 0

    def receive(self, timeout_s: float) -> ReceivedRequest | None:
        """Return the next request, or None after the timeout.

        Messages that are not one part from a REQ socket are counted in `refused`.
        """
        until_s = time.monotonic() + timeout_s
        self._send_held()
        while not self._socket.poll(whole_ms(min(HELD_S, timeout_s) if self._held else timeout_s)):
            if (timeout_s := until_s - time.monotonic()) <= 0:
                return None
            self._send_held()
        parts = self._socket.recv_multipart(copy=False)
        if len(parts) != 3 or len(parts[1]):
            self.refused += 1
            return None
        key = str(parts[2].get(USER_ID)) if self._guard is not None else None
        return ReceivedRequest(ClientId(parts[0].bytes), parts[2].bytes, key)

    def reply(self, client: ClientId, payload: bytes) -> None:
        """Send a reply, or hold it; one that the client no longer reads is counted in `unread`."""
        if client not in self._held and self._send(client, payload):
            return
        if self._held_count >= MAX_HELD_REPLIES or self._held_bytes + len(payload) > MAX_HELD_BYTES:
            self.unread += 1
            return
        self._held.setdefault(client, deque()).append(payload)
        self._held_count += 1
        self._held_bytes += len(payload)

    def _send(self, client: ClientId, payload: bytes) -> bool:
        """Send a reply; False where it has to be held."""
        try:
            self._socket.send_multipart([client, b"", payload], zmq.NOBLOCK)
        except zmq.ZMQError as error:
            if error.errno == zmq.EAGAIN:
                return False
            if error.errno != zmq.EHOSTUNREACH:
                raise
            self.unread += 1
        return True

    def _send_held(self) -> None:
        """Send the held replies that there is room for now."""
        for client, replies in list(self._held.items()):
            while replies and self._send(client, replies[0]):
                self._held_count -= 1
                self._held_bytes -= len(replies.popleft())
            if not replies:
                del self._held[client]

    def close(self) -> None:
        """Close and free the port before returning; safe to call twice."""
        if not self._socket.closed:
            if self._guard is not None:
                self._guard.close()
            self._socket.close(100)
            self._context.term()
