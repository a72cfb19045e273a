"""Keeps where each stream is published, in epochs that only grow. Pure but for its lock."""

from __future__ import annotations

import threading
from collections.abc import Callable

from realtime.comms.directory import StreamLocation

NS_PER_MS = 1_000_000


class StreamDirectory:
    """A table of the streams' locations, used from any thread.

    The epoch of a location is the time in ms, or one more than the last epoch where that is later; so epochs also grow
    when the directory restarts and has forgotten the last one.
    """

    def __init__(self, wall_ns: Callable[[], int]) -> None:
        """wall_ns: the time of day."""
        self._wall_ns = wall_ns
        self._lock = threading.Lock()
        self._locations: dict[str, StreamLocation] = {}
        self._last_epoch = 0
        self.version = 0
        """Counts the changes."""

    def publish(self, stream: str, endpoint: str, server_key: str = "") -> StreamLocation:
        """Set where a stream is published from now on, and return it with its epoch."""
        with self._lock:
            self._last_epoch = max(self._wall_ns() // NS_PER_MS, self._last_epoch + 1)
            location = StreamLocation(stream, endpoint, self._last_epoch, server_key)
            self._locations[stream] = location
            self.version += 1
            return location

    def restore(self, location: StreamLocation) -> None:
        """Set a location that was published before this directory was restarted, unless there is a later one."""
        with self._lock:
            self._last_epoch = max(self._last_epoch, location.epoch)
            known = self._locations.get(location.stream)
            if known is None or known.epoch < location.epoch:
                self._locations[location.stream] = location
                self.version += 1

    def withdraw(self, stream: str) -> None:
        """Remove a stream, whose subscribers keep what they have."""
        with self._lock:
            if self._locations.pop(stream, None) is not None:
                self.version += 1

    def find(self, stream: str) -> StreamLocation | None:
        """Find where a stream is published."""
        with self._lock:
            return self._locations.get(stream)

    def list_streams(self) -> list[str]:
        """List the names of all streams, sorted."""
        with self._lock:
            return sorted(self._locations)
