"""Connects to an eye tracker's feed, and serves as a Pupil-compatible device."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence

import zmq

from realtime.comms.sockets.base import MAX_MESSAGE_BYTES, bind, whole_ms
from realtime.comms.sockets.subscription import RebuildingSubscriber
from realtime.errors import AccessError, TransportError

PUPIL_VERSION = "3.6.7.0"
"""Pupil Capture's version whose replies `PupilRemote` sends."""
_MAX_PARTS = 16


class PupilSubscription(RebuildingSubscriber):
    """A subscription to an eye tracker's multipart messages, used by one thread.

    Beyond `queue` waiting messages, new ones are lost.
    """

    def __init__(
        self, endpoint: str, topics: Sequence[str], *, queue: int = 64, max_bytes: int = MAX_MESSAGE_BYTES
    ) -> None:
        """Connect now or as soon as the device appears. `topics` are prefixes."""
        self._max_bytes = max_bytes
        prefixes = [topic.encode() for topic in topics]
        super().__init__(endpoint, prefixes, {zmq.RCVHWM: queue, zmq.MAXMSGSIZE: max_bytes})

    def receive(self, timeout_s: float) -> list[bytes] | None:
        """Return the next message's parts (topic, map, raw bytes ...).

        None after the timeout, or when the message was too large; a single part too large closes the connection too.
        Without a timeout the connection is not checked.
        """
        try:
            parts = self.receive_parts(timeout_s) if timeout_s else self.receive_waiting()
        except AccessError:  # of a server that expects a key, which no eye tracker does
            self.refused += 1
            return None
        if parts is not None and (len(parts) > _MAX_PARTS or sum(map(len, parts)) > self._max_bytes):
            self.refused += 1
            return None
        return parts


class PupilServer:
    """A device's sockets: a remote (REP), a feed (PUB), and a port where others may publish.

    One thread may `serve_request`, another `send`; join both before `close`.
    """

    def __init__(self, host: str, port: int, *, queue: int = 100) -> None:
        """Bind all three; `port` is the remote's, 0 takes a free one. Raises `TransportError`."""
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._remote = self._context.socket(zmq.REP)
        self._feed = self._context.socket(zmq.PUB)
        self._sink = self._context.socket(zmq.SUB)  # subscribed to nothing: messages published there are discarded
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
        """Wait for one request and answer it; False after the timeout."""
        if not self._remote.poll(whole_ms(timeout_s)):
            return False
        self._remote.send_string(reply(self._remote.recv_multipart()))
        return True

    def send(self, parts: Sequence[bytes]) -> None:
        """Publish one multipart message; a slow subscriber loses it."""
        self._feed.send_multipart(list(parts), zmq.NOBLOCK)

    def close(self) -> None:
        """Close and free the ports before returning; safe to call twice."""
        for socket in (self._remote, self._feed, self._sink):
            socket.close(0)
        self._context.term()


class PupilRemote:
    """Answers requests as Pupil Capture's Pupil Remote does, from one thread."""

    def __init__(self, server: PupilServer, epoch_s: float) -> None:
        """epoch_s: the device's clock minus the host's monotonic clock; a request may set it."""
        self._ports = {"SUB_PORT": str(server.publish_port), "PUB_PORT": str(server.sink_port)}
        self.epoch_s = epoch_s
        self.forwarded: deque[list[bytes]] = deque(maxlen=64)

    def clock_s(self) -> float:
        """Return the device's time."""
        return time.monotonic() + self.epoch_s

    def reply(self, parts: list[bytes]) -> str:
        """Return the reply; multipart messages are queued in `forwarded`.

        Port requests and multipart messages are matched exactly, all others by their first letter.
        """
        if len(parts) > 1:
            self.forwarded.append(parts)
            return "Message forwarded."
        request = parts[0].decode(errors="replace")
        if request in self._ports:
            return self._ports[request]
        if request[:1] in ("R", "r") or request in ("C", "c"):
            return "OK"
        if request.startswith("T"):
            try:
                self.epoch_s = float(request[2:]) - time.monotonic()
            except ValueError:
                return f"'{request[2:]}' cannot be converted to float."
            return "Timesync successful."
        return {"t": repr(self.clock_s()), "v": PUPIL_VERSION}.get(request[:1], "Unknown command.")
