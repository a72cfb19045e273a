"""One socket that publishes."""

from __future__ import annotations

import threading

import zmq

from realtime.comms.sockets.base import bind
from realtime.errors import TransportError


class PublisherSocket:
    """One bound PUB socket (an XPUB, in fact) that sends one-part messages `topic NUL payload`; any thread may send.

    A reader that is slow or stopped loses messages beyond `queue` and never slows the sender.
    """

    def __init__(self, endpoint: str, *, queue: int = 16) -> None:
        """Bind; port 0 takes a free one, which `endpoint` then names. `TransportError` where that cannot be."""
        self._lock = threading.Lock()
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        # XPUB is PUB on the wire, and says who subscribes to what.
        self._socket = self._context.socket(zmq.XPUB)
        self._socket.set(zmq.LINGER, 0)
        self._socket.set(zmq.SNDHWM, queue)
        self._wanted: set[bytes] = set()
        try:
            self.endpoint = bind(self._socket, endpoint)
        except TransportError:
            self.close()
            raise

    def send(self, topic: str, payload: bytes) -> bool:
        """Send to whoever listens; False when closed, as a thread may be late at stopping time."""
        return self.send_raw(topic.encode("ascii") + b"\0" + payload)

    def send_raw(self, message: bytes) -> bool:
        """Send a message as it is, for readers of other formats, which subscribe to everything; otherwise as `send`."""
        with self._lock:
            if self._socket.closed:
                return False
            # libzmq learns what readers have taken at most once a millisecond, unless asked; a burst of one message
            # per topic would run into the high-water mark of readers that keep up.
            self._socket.get(zmq.EVENTS)
            self._socket.send(message, zmq.NOBLOCK)
            return True

    def has_subscriber(self, topic: str) -> bool:
        """Whether anybody subscribes to `topic` now, so that what nobody reads need not be made."""
        message = topic.encode("ascii") + b"\0"
        with self._lock:
            return any(message.startswith(prefix) for prefix in self._prefixes())

    @property
    def has_subscribers(self) -> bool:
        """Whether anybody subscribes to anything now."""
        with self._lock:
            return bool(self._prefixes())

    def _prefixes(self) -> set[bytes]:
        while not self._socket.closed and self._socket.poll(0):
            said = self._socket.recv()
            (self._wanted.add if said[:1] == b"\x01" else self._wanted.discard)(said[1:])
        return self._wanted

    def close(self, linger_s: float = 0.0) -> None:
        """Close and free the port before returning; wait up to `linger_s` for what was just sent to leave."""
        with self._lock:
            if not self._socket.closed:
                self._socket.close(int(linger_s * 1000))
                self._context.term()
