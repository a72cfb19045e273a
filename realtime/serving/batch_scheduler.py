"""Chooses which requests of several wearers an engine serves next, and which of them together. Pure.

Earliest deadline first: a wearer's deadline is the time of its last served request, which for pictures is the age of
its keyframe, later by `idle_delay_ms` where nothing is locked. Whoever was served has a later deadline than all that
waited, so each other wearer is served at most twice after a request's deadline has passed: none starves, and a wearer
who sends more is not served more often while others wait.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

from realtime.serving.batch_costs import BatchCosts

FIRST_AGE_NS = 1_000_000_000
"""Age that counts for a wearer who has no keyframe yet: the first comes before those that renew one."""


@dataclass(frozen=True, slots=True)
class EngineRequest:
    """Holds what the scheduler knows of one request.

    arrived_ns, served_ns: host times of this request, and of the stream's last served one; None for its first.
    is_locked: whether the wearer's gaze is locked on an object.
    shape: requests of equal shapes can be run together; None for one that cannot.
    ticket: distinguishes requests of one stream.
    """

    stream: str
    arrived_ns: int
    served_ns: int | None = None
    is_locked: bool = False
    shape: Hashable = None
    ticket: int = 0


class BatchScheduler:
    """Holds at most one waiting request of each stream. One thread at a time; time is what the caller says.

    wait_ns: how long the first request of a batch may wait for more. idle_delay_ns: see `SharingSettings`.
    """

    def __init__(self, costs: BatchCosts, *, wait_ns: int, idle_delay_ns: int) -> None:
        self._costs, self._wait_ns, self._idle_delay_ns = costs, wait_ns, idle_delay_ns
        self._waiting: dict[str, EngineRequest] = {}
        self._shapes: dict[str, Hashable] = {}

    def add(self, request: EngineRequest) -> EngineRequest | None:
        """Add a request; returns the older one of its stream, which it replaces."""
        self._shapes[request.stream] = request.shape
        replaced = self._waiting.pop(request.stream, None)
        self._waiting[request.stream] = request
        return replaced

    def remove_stream(self, stream: str) -> EngineRequest | None:
        """Forget a stream; returns its waiting request."""
        self._shapes.pop(stream, None)
        return self._waiting.pop(stream, None)

    @property
    def waiting_count(self) -> int:
        """The number of waiting requests."""
        return len(self._waiting)

    def next_batch(self, now_ns: int) -> tuple[EngineRequest, ...]:
        """Remove and return the requests that run next; none where nothing waits, or more shall be waited for."""
        if not self._waiting:
            return ()
        ordered = sorted(self._waiting.values(), key=self._due_ns)
        first = ordered[0]
        alike = [request for request in ordered if request.shape == first.shape] if first.shape is not None else [first]
        size = self._costs.choose_size(first.shape, len(alike))
        if now_ns < self._wait_end_ns(first, size):
            return ()
        batch = tuple(alike[:size])
        for request in batch:
            del self._waiting[request.stream]
        return batch

    def wake_ns(self) -> int | None:
        """Return when to ask again if nothing is added; None where nothing waits."""
        if not self._waiting:
            return None
        first = min(self._waiting.values(), key=self._due_ns)
        return first.arrived_ns + self._wait_ns

    def find_missing(self) -> tuple[Hashable, int] | None:
        """Return a shape and batch size whose graph is worth compiling for what waits now."""
        counts: dict[Hashable, int] = {}
        for request in self._waiting.values():
            counts[request.shape] = counts.get(request.shape, 0) + 1
        for shape, count in counts.items():
            if (size := self._costs.find_missing(shape, count)) is not None:
                return shape, size
        return None

    def _wait_end_ns(self, first: EngineRequest, size: int) -> int:
        """Return until when a batch waits: not at all where the streams could not fill a larger one that pays."""
        streams = sum(shape == first.shape for shape in self._shapes.values())
        can_grow = first.shape is not None and self._costs.choose_size(first.shape, streams) > size
        return first.arrived_ns + self._wait_ns if can_grow else first.arrived_ns

    def _due_ns(self, request: EngineRequest) -> tuple[int, int]:
        served_ns = request.arrived_ns - FIRST_AGE_NS if request.served_ns is None else request.served_ns
        return served_ns + (0 if request.is_locked else self._idle_delay_ns), request.arrived_ns
