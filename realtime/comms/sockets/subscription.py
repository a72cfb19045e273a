"""Subscribes to publishers, and reconnects after any error of theirs."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

import zmq

from realtime.comms.keys import ClientAccess
from realtime.comms.sockets.base import MAX_MESSAGE_BYTES, connect, whole_ms
from realtime.comms.sockets.curve import HandshakeMonitor
from realtime.comms.stream_filter import stream_prefixes
from realtime.errors import AccessError

_REFUSAL_S = 0.1
"""libzmq reports CONNECT_RETRIED within a millisecond of losing a peer, and never after it rejected one."""
_REBUILD_EVERY_S = 0.5
FILTERED_QUEUE = 256
"""Messages of one stream that wait while a subscriber is busy: eight seconds of masks."""
_REJECTION_EVENTS = (
    zmq.Event.DISCONNECTED,
    zmq.Event.HANDSHAKE_FAILED_PROTOCOL,
    zmq.Event.HANDSHAKE_FAILED_NO_DETAIL,
    zmq.Event.HANDSHAKE_FAILED_AUTH,
)


class RebuildingSubscriber:
    """A SUB socket that reconnects after its peer restarts or exceeds the limits.

    libzmq disconnects a peer that sends a part above MAXMSGSIZE or breaks the protocol, and never retries. The
    socket's monitor reports that; the socket is rebuilt and the refusal counted in `refused`.
    """

    def __init__(
        self,
        endpoint: str,
        prefixes: Sequence[bytes],
        options: Mapping[int, int],
        access: ClientAccess | None = None,
    ) -> None:
        self._endpoint, self._prefixes, self._options, self._access = endpoint, prefixes, options, access
        self.refused = 0
        self._refusal = ""
        self._rejected_s: float | None = None
        self._built_s = 0.0
        self._build()

    def _build(self) -> None:
        self._socket: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.SUB)
        self._poller = zmq.Poller()
        self._monitor: HandshakeMonitor | None = None
        try:
            for option, value in self._options.items():
                self._socket.set(option, value)
            for prefix in self._prefixes:
                self._socket.subscribe(prefix)
            self._monitor = HandshakeMonitor(self._socket, self._endpoint, self._access)
            connect(self._socket, self._endpoint)
        except BaseException:
            self.close()
            raise
        self._poller.register(self._socket, zmq.POLLIN)
        self._poller.register(self._monitor.socket, zmq.POLLIN)
        self._rejected_s, self._built_s = None, time.monotonic()
        self._is_drained = False

    def receive_waiting(self) -> list[bytes] | None:
        """Return the parts of a message that waits, None where none does; it does not check the connection."""
        try:
            return self._socket.recv_multipart(zmq.NOBLOCK)
        except zmq.Again:
            self._is_drained = True
            return None

    def receive_parts(self, timeout_s: float) -> list[bytes] | None:
        """Return the next message's parts, or None after the timeout; `AccessError` while the server refuses."""
        if not self._is_drained and (parts := self.receive_waiting()) is not None:  # cheaper than to poll
            return parts
        self._is_drained = False
        until = time.monotonic() + timeout_s
        while True:
            wait_ms = whole_ms(until - time.monotonic())
            ready = dict(self._poller.poll(wait_ms if self._rejected_s is None else min(wait_ms, 20)))
            if self._socket in ready:
                return self._socket.recv_multipart()
            self._rebuild_if_rejected()
            if refusal := self._pop_refusal():
                raise AccessError(refusal)
            if time.monotonic() >= until:
                return None

    def _pop_refusal(self) -> str:
        """Return why the server refused since the last call; empty if it did not."""
        refusal, self._refusal = self._refusal, ""
        return refusal

    def _rebuild_if_rejected(self) -> None:
        now = time.monotonic()
        assert self._monitor is not None
        for event in self._monitor.read_events():
            if event in _REJECTION_EVENTS:
                self._rejected_s = now
            elif event == zmq.Event.CONNECT_RETRIED:
                self._rejected_s = None
        self._refusal, self._monitor.refusal = self._monitor.refusal, ""
        if (
            self._rejected_s is not None
            and now - self._rejected_s > _REFUSAL_S
            and now - self._built_s > _REBUILD_EVERY_S
        ):
            self.refused += 1
            self.close()
            self._build()

    def close(self) -> None:
        """Disconnect; safe to call twice."""
        if not self._socket.closed:
            if self._monitor is not None:
                self._monitor.close()
            self._socket.close(0)


class TopicSubscription(RebuildingSubscriber):
    """A subscription to one topic of a `PublisherSocket`, used by one thread.

    stream: receive that one only; None for all. newest_only: keep only the newest message (CONFLATE); otherwise
    messages beyond `queue` waiting ones are lost.
    """

    def __init__(
        self,
        endpoint: str,
        topic: str,
        *,
        stream: str | None = None,
        newest_only: bool = True,
        queue: int = 64,
        max_bytes: int = MAX_MESSAGE_BYTES,
        access: ClientAccess | None = None,
    ) -> None:
        """Connect now or as soon as the publisher appears; raises `TransportError` for an invalid address."""
        self._prefix = topic.encode("ascii") + b"\0"
        # CONFLATE would keep the last of several prefixes only, too.
        self._drained = FILTERED_QUEUE if newest_only and stream is not None else 0
        options: dict[int, int] = {zmq.RCVHWM: self._drained or queue}
        if newest_only and not self._drained:
            options = {zmq.CONFLATE: 1}
        prefixes = [self._prefix] if stream is None else stream_prefixes(topic, stream)
        super().__init__(endpoint, prefixes, {**options, zmq.MAXMSGSIZE: max_bytes}, access)

    def receive(self, timeout_s: float) -> bytes | None:
        """Return the payload behind topic and NUL, or None after the timeout.

        Messages of another layout are skipped. Raises `AccessError` while the publisher refuses this subscriber.
        """
        until = time.monotonic() + timeout_s
        while True:
            parts = self.receive_parts(max(0.0, until - time.monotonic()))
            if parts is not None and self._drained:
                parts = self._skip_to_newest(parts)
            if parts is None:
                return None
            if len(parts) == 1 and parts[0].startswith(self._prefix):
                return parts[0][len(self._prefix) :]

    def _skip_to_newest(self, parts: list[bytes]) -> list[bytes]:
        """Return the newest of the waiting messages; none of a full queue, which are old, but a new connection."""
        for _ in range(self._drained):
            try:
                parts = self._socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return parts
        self.close()
        self._build()
        return []
