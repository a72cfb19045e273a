"""What every published message carries: version, stream, sequence number per topic, time of publication."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

from realtime.comms import VERSION, pack


class MessageSender(Protocol):
    """Where messages go; `transport.PublisherSocket` is one."""

    def send(self, topic: str, payload: bytes) -> bool:
        """Send one single-part message, topic NUL payload, without ever blocking; False when closed."""
        ...


class MessageStamp(NamedTuple):
    """The number of a message under its topic, and when it was published, host ns."""

    seq: int
    published_ns: int


class MessagePublisher:
    """Numbers and stamps messages and sends them, from any thread, in the order of their numbers."""

    def __init__(
        self, sender: MessageSender, stream: str, clock_ns: Callable[[], int], *, first: Mapping[str, int] | None = None
    ) -> None:
        """first: numbers to begin with, by topic; 0 where there is none."""
        self._sender, self._stream, self._clock_ns = sender, stream, clock_ns
        self._seq: defaultdict[str, int] = defaultdict(int, first or {})
        self._lock = threading.Lock()  # messages leave in the order of their numbers

    def publish(self, topic: str, fields: Mapping[str, Any]) -> MessageStamp:
        """Publish one map under `topic`; returns the number and time that it carries."""
        with self._lock:
            stamp = MessageStamp(self._seq[topic], self._clock_ns())
            head = {"v": VERSION, "stream": self._stream, "seq": stamp.seq, "published_ns": stamp.published_ns}
            self._seq[topic] += 1
            self._sender.send(topic, pack({**head, **fields}))
            return stamp
