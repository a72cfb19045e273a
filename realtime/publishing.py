"""What every published message carries: version, stream, sequence number per topic, time of publication."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from realtime.wire import VERSION, pack


class Sender(Protocol):
    """Where messages go; `transport.Publisher` is one."""

    def send(self, topic: str, payload: bytes) -> bool:
        """Send one single-part message, topic NUL payload, without ever blocking; False when closed."""
        ...


class Broadcast:
    """Numbers and stamps messages and sends them, from any thread, in the order of their numbers."""

    def __init__(self, sender: Sender, stream: str, clock_ns: Callable[[], int]) -> None:
        self._sender, self._stream, self._clock_ns = sender, stream, clock_ns
        self._seq: defaultdict[str, int] = defaultdict(int)
        self._lock = threading.Lock()  # messages leave in the order of their numbers

    def send(self, topic: str, fields: Mapping[str, Any]) -> int:
        """Publish one map under `topic`; returns the `published_ns` that it carries."""
        with self._lock:
            now_ns = self._clock_ns()
            head = {"v": VERSION, "stream": self._stream, "seq": self._seq[topic], "published_ns": now_ns}
            self._seq[topic] += 1
            self._sender.send(topic, pack({**head, **fields}))
            return now_ns
