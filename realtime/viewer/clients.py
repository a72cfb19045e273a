"""Viewers with one picture in flight each, and the threads that make their pictures. Nobody here waits for a viewer."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

STOP_S = 0.9


class ClientSlot:
    """One viewer. `skipped` counts the pictures that it was too slow for."""

    def __init__(self, deliver: Callable[[int, bytes], None]) -> None:
        """deliver: takes a number and a picture, on a thread of the server's, and must return at once."""
        self.deliver = deliver
        self.ready, self.sent, self.skipped = True, 0, 0


S = TypeVar("S", bound=ClientSlot)


class ClientSlots(Generic[S]):
    """Who watches. What is in it is read and changed with `wake` held; that is notified of whatever happens."""

    def __init__(self) -> None:
        self.wake = threading.Condition()
        self.seated: list[S] = []
        self.stopped = False
        self._skipped = self._failed = 0
        self._threads: list[threading.Thread] = []

    def work(self, name: str, job: Callable[[], None]) -> None:
        """Run it on a thread of its own, until `stop`; it must end soon after `stopped`."""
        thread = threading.Thread(target=job, name=f"gazecast-{name}", daemon=True)
        self._threads.append(thread)
        thread.start()

    def stop(self) -> None:
        """End the threads; nobody gets anything more."""
        with self.wake:
            self.stopped = True
            self.wake.notify_all()
        until_s = time.monotonic() + STOP_S
        for thread in self._threads:
            thread.join(max(0.0, until_s - time.monotonic()))

    def take(self, seat: S) -> S:
        """A viewer sits down."""
        with self.wake:
            self.seated.append(seat)
            self.wake.notify_all()
        return seat

    def leave(self, seat: S) -> None:
        """Forget a viewer."""
        with self.wake:
            if seat in self.seated:
                self.seated.remove(seat)
                self._skipped += seat.skipped

    def ack(self, seat: S, seq: int) -> None:
        """The viewer has shown picture `seq`; one that is not in flight is nobody's."""
        with self.wake:
            if seq == seat.sent and not seat.ready:
                seat.ready = True
                self.wake.notify_all()

    def failed(self) -> None:
        """A picture could not be made."""
        with self.wake:
            self._failed += 1

    def counts(self) -> dict[str, int]:
        """Pictures that viewers missed, since the start, and ones that could not be made."""
        with self.wake:
            skipped = self._skipped + sum(seat.skipped for seat in self.seated)
            return {"skipped": skipped, "failed": self._failed}
