"""Receives a stream from where its directory says that it is published, and follows it when it moves."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from realtime.comms.directory import StreamLocation, parse_stream_address
from realtime.comms.directory_client import LocationWatch
from realtime.comms.keys import ClientAccess, KeyFolder, parse_key
from realtime.comms.sockets.base import check_endpoint_host, find_access
from realtime.comms.sockets.subscription import TopicSubscription
from realtime.errors import AccessError, TransportError

CHECK_S = 0.05
"""How often a wait for messages is interrupted to receive a move."""


class EndpointReceiver:
    """Receives topics from one address, which stays."""

    moves, reason = 0, ""

    def __init__(
        self, endpoint: str, topics: Sequence[str], access: ClientAccess | None, stream: str | None = None
    ) -> None:
        """stream: the only one that is received; None for any. Raises `TransportError` for an invalid address."""
        self._subscriptions = {
            topic: TopicSubscription(endpoint, topic, stream=stream, access=access) for topic in topics
        }

    def receive(self, topic: str, timeout_s: float) -> bytes | None:
        """Return the newest unread payload of a topic, or None after the timeout; may raise `AccessError`."""
        return self._subscriptions[topic].receive(timeout_s)

    def close(self) -> None:
        """Disconnect; safe to call twice."""
        for subscription in self._subscriptions.values():
            subscription.close()


class StreamFollower:
    """Receives the topics of one stream from its present host.

    It is connected to one host at a time, so that nothing of the old host comes after the new one's. While the
    directory does not answer, it goes on with the host that it knows.
    """

    def __init__(self, address: str, topics: Sequence[str], *, keys: Path | None, server_key: str | None) -> None:
        """Connect to the directory of gazecast://HOST:PORT/STREAM; keys, server_key: for the directory.

        Raises `TransportError` for an invalid address, `AccessError` for keys that are missing or damaged.
        """
        endpoint, self.stream = parse_stream_address(address)
        check_endpoint_host(endpoint)
        self._keys, self._topics = keys, topics
        self._watch = LocationWatch(endpoint, self.stream, find_access(endpoint, keys, server_key))
        self._receiver: EndpointReceiver | None = None
        self._newer: StreamLocation | None = None
        self.moves = self.bad = 0

    @property
    def reason(self) -> str:
        """Why messages may be missing or old; empty while the directory answers."""
        return self._watch.reason

    def receive(self, topic: str, timeout_s: float) -> bytes | None:
        """Return the newest unread payload of a topic, or None after the timeout.

        Raises `AccessError` where the host refuses this client, or the directory before it has named a host.
        """
        until_s = time.monotonic() + timeout_s
        while True:
            left_s = max(0.0, until_s - time.monotonic())
            self._follow(0.0 if self._receiver is not None else left_s)
            if self._receiver is not None:
                left_s = max(0.0, until_s - time.monotonic())
                payload = self._receiver.receive(topic, min(left_s, CHECK_S))
                if payload is not None:
                    return payload
            if time.monotonic() >= until_s:
                return None

    def close(self) -> None:
        """Disconnect; safe to call twice."""
        self._watch.close()
        if self._receiver is not None:
            self._receiver.close()

    def _follow(self, timeout_s: float) -> None:
        """Connect to a newer location, if there is one; raises `AccessError` where a key is missing for it."""
        try:
            self._newer = self._watch.poll(timeout_s) or self._newer
        except AccessError:
            if self._receiver is None:
                raise
        if self._newer is None:
            return
        access = self._find_access(self._newer)
        try:
            receiver = EndpointReceiver(self._newer.endpoint, self._topics, access, self.stream)
        except TransportError:
            self.bad += 1
        else:
            if self._receiver is not None:
                self._receiver.close()
                self.moves += 1
            self._receiver = receiver
        self._newer = None

    def _find_access(self, location: StreamLocation) -> ClientAccess | None:
        if not location.server_key:
            return None
        return ClientAccess(parse_key(location.server_key), KeyFolder(self._keys).read_own())
