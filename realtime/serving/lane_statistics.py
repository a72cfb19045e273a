"""Holds what was measured of the requests to a shared engine."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from engines.graphs import EncoderGraph

KEPT = 128
QUANTILES = (0.1, 0.3, 0.5, 0.7, 0.9)


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

    batch_sizes: number of batches by size. busy_ns: time in which it worked. service_ms: last service times by shape
    and batch size. recent: the last batches, see `BatchCosts.recent`. batch_ratios: see `BatchCosts.ratios`.
    """

    streams: Mapping[str, StreamSummary]
    batch_sizes: Mapping[int, int]
    busy_ns: int
    service_ms: Mapping[tuple[Hashable, int], list[float]]
    recent: Sequence[tuple[Hashable, int, float]]
    batch_ratios: Mapping[int, float]

    @property
    def item_ms(self) -> float | None:
        """The service time of a picture, or of a request's prompts, in the last batches; None before the first."""
        count = sum(size for _, size, _ in self.recent)
        return sum(ms for _, _, ms in self.recent) / count if count else None

    def describe(self) -> dict[str, Any]:
        """Return the figures for `health`: served items and work since the start, and of the last batches.

        side: mean of the longest side of pictures, px. ms: `QUANTILES` of the time of one item.
        """
        times = [ms / size for _, size, ms in self.recent]
        found = np.quantile(times, QUANTILES).tolist() if times else []
        sides = [max(shape.height, shape.width) for shape, *_ in self.recent if isinstance(shape, EncoderGraph)]
        return {
            **({"side": round(sum(sides) / len(sides))} if sides else {}),
            "served": sum(size * count for size, count in self.batch_sizes.items()),
            "busy_s": round(self.busy_ns / 1e9, 2),
            "ms": [round(value, 2) for value in found],
            "batches": {str(size): count for size, count in sorted(self.batch_sizes.items())},
            "ratios": {str(size): round(ratio, 3) for size, ratio in self.batch_ratios.items() if math.isfinite(ratio)},
        }


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

    def copy(self) -> StreamTimes:
        """Return a copy, which may be summarized while another thread records."""
        return StreamTimes(self.served, self.wait_ns.copy(), self.service_ns.copy())

    def summarize(self) -> StreamSummary:
        """Return the summary; zeros before the first request."""
        if not self.served:
            return StreamSummary(0, 0.0, 0.0, 0.0, 0.0)
        wait, service = (np.percentile(times, (50, 95)) / 1e6 for times in (self.wait_ns, self.service_ns))
        return StreamSummary(self.served, float(wait[0]), float(wait[1]), float(service[0]), float(service[1]))
