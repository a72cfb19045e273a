"""Holds viewers with one frame in flight each, and the threads that build their frames without waiting for a viewer."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from realtime.infra.threads import run_to_end

STOP_TIMEOUT_S = 0.9


R = TypeVar("R")


class ClientSlot(Generic[R]):
    """A viewer with at most one frame in flight.

    request: its choice of the next frame; None for none. is_ready: whether the last frame was acknowledged. sent_seq:
    number of the last frame that was sent. skipped: frames that were dropped because the viewer was too slow.
    """

    def __init__(self, request: R | None, send_frame: Callable[[int, bytes], None]) -> None:
        self.request, self.send_frame = request, send_frame
        self.is_ready, self.sent_seq, self.skipped = True, 0, 0


class ClientSlots(Generic[R]):
    """A set of connected viewers with flow control by acknowledgement.

    Read and change `clients` and their fields only while holding `changed`, which is notified of every change.
    """

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.clients: list[ClientSlot[R]] = []
        self.is_stopped = False
        self._skipped = self._failed = 0
        self._threads: list[threading.Thread] = []

    def start_thread(self, name: str, target: Callable[[], None]) -> None:
        """Run a function on a thread of its own; it must end soon after `is_stopped` is set."""

        def run() -> None:
            run_to_end(target, lambda: self.is_stopped, lambda error: self.count_failure())

        thread = threading.Thread(target=run, name=f"gazecast-{name}", daemon=True)
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

    def connect(self, request: R | None, send_frame: Callable[[int, bytes], None]) -> ClientSlot[R]:
        """Add a viewer; `send_frame(seq, data)` is called on a sending thread and must return at once."""
        client = ClientSlot(request, send_frame)
        with self.changed:
            self.clients.append(client)
            self.changed.notify_all()
        return client

    def change_request(self, client: ClientSlot[R], request: R) -> None:
        """Send a viewer other frames from the next one on."""
        with self.changed:
            client.request = request
            self.changed.notify_all()

    def remove(self, client: ClientSlot[R]) -> None:
        """Remove a viewer and keep its count of skipped frames."""
        with self.changed:
            if client in self.clients:
                self.clients.remove(client)
                self._skipped += client.skipped

    def acknowledge(self, client: ClientSlot[R], seq: int) -> None:
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
