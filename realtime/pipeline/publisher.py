"""Publishes messages with their common fields: version, stream, sequence number per topic, time of publication."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

from realtime.comms.envelope import VERSION, pack


class MessageSender(Protocol):
    """A sender of packed messages, such as `comms.sockets.PublisherSocket`."""

    def send(self, topic: str, payload: bytes) -> bool:
        """Send one single-part message, topic NUL payload, without blocking; False when closed."""


class MessageStamp(NamedTuple):
    """Holds the sequence number of a message under its topic, and its time of publication, host ns."""

    seq: int
    published_ns: int


class MessagePublisher:
    """A publisher that numbers, stamps, packs and sends messages, from any thread, in the order of their numbers."""

    def __init__(
        self,
        sender: MessageSender,
        stream: str,
        clock_ns: Callable[[], int],
        *,
        first_seq: Mapping[str, int] | None = None,
    ) -> None:
        """first_seq: the first sequence numbers by topic; 0 for the others."""
        self._sender, self._stream, self._clock_ns = sender, stream, clock_ns
        self._seq: defaultdict[str, int] = defaultdict(int, first_seq or {})
        self._lock = threading.Lock()  # messages are sent in the order of their numbers

    def publish(self, topic: str, fields: Mapping[str, Any]) -> MessageStamp:
        """Publish a message and return its number and time."""
        with self._lock:
            stamp = MessageStamp(self._seq[topic], self._clock_ns())
            head = {"v": VERSION, "stream": self._stream, "seq": stamp.seq, "published_ns": stamp.published_ns}
            self._seq[topic] += 1
            self._sender.send(topic, pack({**head, **fields}))
            return stamp
