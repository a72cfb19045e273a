"""Sends the messages of one session on the socket that all sessions of a host share."""

from __future__ import annotations

import threading

from realtime.comms.sockets.publisher import PublisherSocket


class StreamSender:
    """A `SubscribedSender` of one stream. After `close` nothing is sent, also not by a thread that hangs."""

    def __init__(self, socket: PublisherSocket, stream: str) -> None:
        self._socket, self._stream = socket, stream
        self._lock = threading.Lock()
        self._is_closed = False

    def send(self, topic: str, payload: bytes) -> bool:
        """Send a message without blocking; False when closed."""
        with self._lock:
            return not self._is_closed and self._socket.send(topic, payload)

    def has_subscriber(self, topic: str) -> bool:
        """Return whether somebody reads a topic of this stream."""
        return not self._is_closed and self._socket.has_subscriber(topic, self._stream)

    def close(self) -> None:
        """Send nothing any more; the socket stays open."""
        with self._lock:
            self._is_closed = True
