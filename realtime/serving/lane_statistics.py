"""Holds what was measured of the requests to a shared engine."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field

import numpy as np

KEPT = 512


@dataclass(frozen=True, slots=True)
class StreamSummary:
    """Summarizes one stream: requests served, and milliseconds of waiting and of service of the last `KEPT`."""

    served: int
    wait_p50_ms: float
    wait_p95_ms: float
    service_p50_ms: float
    service_p95_ms: float


@dataclass(frozen=True, slots=True)
class LaneStatistics:
    """Holds the statistics of an encoder or a decoder.

    batch_sizes: number of batches by size. load: share of the time in which it was busy. service_ms: last service
    times by shape and batch size. batch_ratios: see `BatchCosts.ratios`. picture_ms: time for one picture, or prompt,
    in the batches that the present streams can fill; None before the first.
    """

    streams: Mapping[str, StreamSummary]
    batch_sizes: Mapping[int, int]
    load: float
    service_ms: Mapping[tuple[Hashable, int], list[float]]
    batch_ratios: Mapping[int, float]
    picture_ms: float | None


@dataclass(slots=True)
class StreamTimes:
    """Collects the times of one stream."""

    served: int = 0
    wait_ns: deque[int] = field(default_factory=lambda: deque(maxlen=KEPT))
    service_ns: deque[int] = field(default_factory=lambda: deque(maxlen=KEPT))

    def observe(self, wait_ns: int, service_ns: int) -> None:
        """Record a served request."""
        self.served += 1
        self.wait_ns.append(wait_ns)
        self.service_ns.append(service_ns)

    def summarize(self) -> StreamSummary:
        """Return the summary; zeros before the first request."""
        if not self.served:
            return StreamSummary(0, 0.0, 0.0, 0.0, 0.0)
        wait, service = (np.percentile(times, (50, 95)) / 1e6 for times in (self.wait_ns, self.service_ns))
        return StreamSummary(self.served, float(wait[0]), float(wait[1]), float(service[0]), float(service[1]))
