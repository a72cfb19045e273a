"""Publishes messages on a bound socket."""

from __future__ import annotations

import math
import threading
import time

import zmq

from realtime.comms.sockets.base import bind
from realtime.comms.sockets.curve import AccessGuard, ServerAccess, open_guard
from realtime.comms.sockets.subscriptions import SubscriptionTable
from realtime.comms.stream_filter import stream_prefixes
from realtime.errors import TransportError

MAX_SUBSCRIPTION_BYTES = 4096
"""Subscribers send nothing but topics."""
SUBSCRIPTIONS_S = 0.05
"""How often subscriptions are read: many streams ask for each of their frames."""


class PublisherSocket:
    """A bound socket that sends one-part messages `topic NUL payload` from any thread.

    A slow or stopped subscriber loses messages beyond `queue` and never slows the sender. One whose key is for some
    streams only receives nothing else.
    """

    def __init__(self, endpoint: str, *, queue: int = 16, access: ServerAccess | None = None) -> None:
        """Bind; port 0 takes a free one, which `endpoint` then names. Raises `TransportError`.

        access: who may connect; by default all of this machine, and no other.
        """
        self.access = access = access or ServerAccess()
        self._lock = threading.Lock()
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        # XPUB is PUB on the wire, and reports subscriptions.
        self._socket = self._context.socket(zmq.XPUB)
        self._socket.set(zmq.LINGER, 0)
        self._socket.set(zmq.SNDHWM, queue)
        self._socket.set(zmq.MAXMSGSIZE, MAX_SUBSCRIPTION_BYTES)
        self._subscriptions, self._read_s = SubscriptionTable(self._socket, access), -math.inf
        self._guard: AccessGuard | None = None
        try:
            self._guard = open_guard(self._context, self._socket, endpoint, access)
            self.endpoint = bind(self._socket, endpoint)
            if self._guard is not None:
                self._guard.endpoint = self.endpoint
        except TransportError:
            self.close()
            raise

    def send(self, topic: str, payload: bytes) -> bool:
        """Send to all subscribers; False when closed, since a thread may send during shutdown."""
        return self.send_raw(topic.encode("ascii") + b"\0" + payload)

    def send_raw(self, message: bytes) -> bool:
        """Send an unframed message, for readers of other formats, which subscribe to everything."""
        with self._lock:
            if self._socket.closed:
                return False
            if self._subscriptions.is_manual:
                self._subscriptions.update()
            # libzmq updates what subscribers have read at most once a millisecond, unless asked; a burst of one message
            # per topic would reach the high-water mark of subscribers that keep up.
            self._socket.get(zmq.EVENTS)
            self._socket.send(message, zmq.NOBLOCK)
            return True

    def has_subscriber(self, topic: str, stream: str | None = None) -> bool:
        """Return whether a topic has a subscriber, so that unread messages need not be encoded.

        stream: of that one; None for any.
        """
        message, known = topic.encode("ascii") + b"\0", self._read_subscriptions()
        if any(message.startswith(prefix) for prefix in known):
            return True
        if stream is None:
            return any(prefix.startswith(message) for prefix in known)
        return stream_prefixes(topic, stream)[0] in known

    @property
    def has_subscribers(self) -> bool:
        """Whether any topic has a subscriber."""
        return bool(self._read_subscriptions())

    @property
    def refused_peers(self) -> int:
        """Number of handshakes that failed."""
        return self._guard.refused if self._guard is not None else 0

    def _read_subscriptions(self) -> frozenset[bytes]:
        """Return the prefixes that are subscribed to; those of `SUBSCRIPTIONS_S` ago, without a wait for senders."""
        if time.monotonic() - self._read_s < SUBSCRIPTIONS_S:
            return self._subscriptions.prefixes
        with self._lock:
            self._subscriptions.update()
            self._read_s = time.monotonic()
        return self._subscriptions.prefixes

    def close(self, linger_s: float = 0.0) -> None:
        """Close and free the port before returning; wait up to `linger_s` for queued messages."""
        with self._lock:
            if not self._socket.closed:
                if self._guard is not None:
                    self._guard.close()
                self._socket.close(int(linger_s * 1000))
                self._context.term()
