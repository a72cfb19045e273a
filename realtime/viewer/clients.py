"""Holds viewers with one frame in flight each, and the threads that build their frames.

No thread here waits for a viewer.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

STOP_TIMEOUT_S = 0.9


class ClientSlot:
    """A viewer with at most one frame in flight.

    is_ready: whether the last frame was acknowledged. sent_seq: number of the last frame that was sent. skipped: frames
    that were dropped because the viewer was too slow.
    """

    def __init__(self, send_frame: Callable[[int, bytes], None]) -> None:
        """send_frame: called with a number and a packed frame on a thread of the server; must return at once."""
        self.send_frame = send_frame
        self.is_ready, self.sent_seq, self.skipped = True, 0, 0


S = TypeVar("S", bound=ClientSlot)


class ClientSlots(Generic[S]):
    """A set of connected viewers with flow control by acknowledgement.

    Read and change `clients` and their fields only while holding `changed`, which is notified of every change.
    """

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.clients: list[S] = []
        self.is_stopped = False
        self._skipped = self._failed = 0
        self._threads: list[threading.Thread] = []

    def start_thread(self, name: str, target: Callable[[], None]) -> None:
        """Run a function on a thread of its own; it must end soon after `is_stopped` is set."""
        thread = threading.Thread(target=target, name=f"gazecast-{name}", daemon=True)
        self._threads.append(thread)
        thread.start()

    def stop(self) -> None:
        """End the threads; no viewer receives anything more."""
        with self.changed:
            self.is_stopped = True
            self.changed.notify_all()
        until_s = time.monotonic() + STOP_TIMEOUT_S
        for thread in self._threads:
            thread.join(max(0.0, until_s - time.monotonic()))

    def add(self, client: S) -> S:
        """Add a viewer and return it."""
        with self.changed:
            self.clients.append(client)
            self.changed.notify_all()
        return client

    def remove(self, client: S) -> None:
        """Remove a viewer and keep its count of skipped frames."""
        with self.changed:
            if client in self.clients:
                self.clients.remove(client)
                self._skipped += client.skipped

    def acknowledge(self, client: S, seq: int) -> None:
        """Mark frame `seq` as shown; a number that is not in flight is ignored."""
        with self.changed:
            if seq == client.sent_seq and not client.is_ready:
                client.is_ready = True
                self.changed.notify_all()

    def count_failure(self) -> None:
        """Count a frame that could not be built."""
        with self.changed:
            self._failed += 1

    def drop_counts(self) -> dict[str, int]:
        """Count frames that viewers skipped, and frames that could not be built, since the start."""
        with self.changed:
            skipped = self._skipped + sum(client.skipped for client in self.clients)
            return {"skipped": skipped, "failed": self._failed}
