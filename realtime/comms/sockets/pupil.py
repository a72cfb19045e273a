"""The sockets of an eye tracker, from both sides."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import zmq

from realtime.comms.sockets.base import MAX_MESSAGE_BYTES, bind, whole_ms
from realtime.comms.sockets.subscription import RebuildingSubscriber
from realtime.errors import TransportError

_MAX_PARTS = 16


class PupilSubscription:
    """Multipart messages of an eye tracker, used by one thread; beyond `queue` waiting ones new ones are lost."""

    def __init__(
        self, endpoint: str, topics: Sequence[str], *, queue: int = 64, max_bytes: int = MAX_MESSAGE_BYTES
    ) -> None:
        """Connect, or wait for the device to appear. `topics` are prefixes."""
        self._max_bytes = max_bytes
        self._oversize = 0
        self._subscriber = RebuildingSubscriber(
            endpoint, [topic.encode() for topic in topics], {zmq.RCVHWM: queue, zmq.MAXMSGSIZE: max_bytes}
        )

    def receive(self, timeout_s: float) -> list[bytes] | None:
        """The next message's parts (topic, map, raw bytes ...), or None after the timeout or when it was too large."""
        parts = self._subscriber.receive(timeout_s)
        if parts is not None and (len(parts) > _MAX_PARTS or sum(map(len, parts)) > self._max_bytes):
            self._oversize += 1
            return None
        return parts

    @property
    def refused(self) -> int:
        """How many messages were above the limits; one whose single part is above them costs the connection too."""
        return self._oversize + self._subscriber.refused

    def close(self) -> None:
        """Disconnect; closing twice is fine."""
        self._subscriber.close()


class PupilServer:
    """The sockets an eye tracker offers: a remote (REP), a feed (PUB), and a port where others may publish.

    One thread may `answer`, another `send`; join both before `close`.
    """

    def __init__(self, host: str, port: int, *, queue: int = 100) -> None:
        """Bind all three; `port` is the remote's, 0 takes a free one. `TransportError` where that cannot be."""
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._remote = self._context.socket(zmq.REP)
        self._feed = self._context.socket(zmq.PUB)
        self._sink = self._context.socket(zmq.SUB)  # subscribed to nothing: what is published there stays there
        self._feed.set(zmq.SNDHWM, queue)
        self._remote.set(zmq.MAXMSGSIZE, MAX_MESSAGE_BYTES)
        try:
            self.port, self.publish_port, self.sink_port = (
                int(bind(socket, f"tcp://{host}:{number}").rpartition(":")[2])
                for socket, number in ((self._remote, port), (self._feed, 0), (self._sink, 0))
            )
        except TransportError:
            self.close()
            raise

    def serve_request(self, reply: Callable[[list[bytes]], str], timeout_s: float) -> bool:
        """Wait for one request and answer it; False when none came."""
        if not self._remote.poll(whole_ms(timeout_s)):
            return False
        self._remote.send_string(reply(self._remote.recv_multipart()))
        return True

    def send(self, parts: Sequence[bytes]) -> None:
        """Publish one multipart message; a reader that is too slow loses it."""
        self._feed.send_multipart(list(parts), zmq.NOBLOCK)

    def close(self) -> None:
        """Close and free the ports before returning; closing twice is fine."""
        for socket in (self._remote, self._feed, self._sink):
            socket.close(0)
        self._context.term()
