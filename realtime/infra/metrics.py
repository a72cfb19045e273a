"""Counts events and drops, and computes rates and latency percentiles of a running pipeline. Safe from every thread."""

from __future__ import annotations

import math
import threading
from bisect import bisect_left
from collections import defaultdict, deque
from dataclasses import dataclass, field, replace

WINDOW_NS = 5_000_000_000
"""Rates and percentiles describe the last five seconds: long enough for a p99, short enough to see a change."""
PERIOD_EVENTS = 30
"""Events of which the period of a stream is the mean: a second of video."""
BUCKETS_MS = (1, 2, 5, 10, 20, 35, 50, 75, 100, 150, 200, 350, 500, 750, 1000, 2000, 5000)
"""Upper bounds of the histograms' buckets; the last one, without a bound, holds the rest."""
_MAX_EVENTS = 16384  # per name: 5 s at 3 kHz, beyond any eye tracker


@dataclass(frozen=True, slots=True)
class MetricsSnapshot:
    """Holds rates in Hz and latency percentiles in ms over the window, and drops since the start."""

    rates: dict[str, float] = field(default_factory=dict)
    latency_ms: dict[str, dict[str, float]] = field(default_factory=dict)
    dropped: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class LatencyHistogram:
    """Counts latencies since the start by bucket: as many as `BUCKETS_MS`, and one for longer ones."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(BUCKETS_MS) + 1))
    sum_ms: float = 0.0

    def add(self, value_ms: float) -> None:
        """Count one latency."""
        self.counts[bisect_left(BUCKETS_MS, value_ms)] += 1
        self.sum_ms += value_ms


@dataclass(frozen=True, slots=True)
class MetricsTotals:
    """Holds numbers of events, and latencies, since the start; by name."""

    events: dict[str, int]
    latencies: dict[str, LatencyHistogram]


class MetricsRegistry:
    """A collector of events, latencies and drops by name.

    It keeps the events of the window; its memory is bounded, because names come from our own code only.
    Time is an argument: host monotonic nanoseconds.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ticks: defaultdict[str, deque[int]] = defaultdict(lambda: deque(maxlen=_MAX_EVENTS))
        self._values: defaultdict[str, deque[tuple[int, float]]] = defaultdict(lambda: deque(maxlen=_MAX_EVENTS))
        self._dropped: defaultdict[str, int] = defaultdict(int)
        self._events: defaultdict[str, int] = defaultdict(int)
        self._histograms: defaultdict[str, LatencyHistogram] = defaultdict(LatencyHistogram)
        self._started_ns: int | None = None

    def count_event(self, name: str, now_ns: int) -> None:
        """Count one event towards the rate `name`."""
        with self._lock:
            self._begin(now_ns)
            ticks = self._ticks[name]
            ticks.append(now_ns)
            while len(ticks) > PERIOD_EVENTS and ticks[0] <= now_ns - WINDOW_NS:
                ticks.popleft()
            self._events[name] += 1

    def observe(self, name: str, value_ms: float, now_ns: int) -> None:
        """Add one latency to the percentiles of `name`."""
        with self._lock:
            self._begin(now_ns)
            values = self._values[name]
            values.append((now_ns, value_ms))
            while values[0][0] <= now_ns - WINDOW_NS:
                values.popleft()
            self._histograms[name].add(value_ms)

    def count_drop(self, name: str, count: int = 1) -> None:
        """Count dropped items under the name of their reason."""
        with self._lock:
            self._dropped[name] += count

    def age_ns(self, name: str, now_ns: int) -> int | None:
        """Return the time since the last event `name`, ns; None if there was none."""
        with self._lock:
            ticks = self._ticks.get(name)
            return now_ns - ticks[-1] if ticks else None

    def measure_period_ns(self, name: str) -> int | None:
        """Return the mean time between the last `PERIOD_EVENTS` events `name`, ns; None while there are fewer."""
        with self._lock:
            ticks = self._ticks.get(name)
            if ticks is None or len(ticks) < PERIOD_EVENTS:
                return None
            return (ticks[-1] - ticks[-PERIOD_EVENTS]) // (PERIOD_EVENTS - 1)

    def snapshot(self, now_ns: int) -> MetricsSnapshot:
        """Summarize the window of `WINDOW_NS` that ends at `now_ns`."""
        since = now_ns - WINDOW_NS
        with self._lock:
            started_ns = now_ns if self._started_ns is None else self._started_ns
            span_s = min(WINDOW_NS, max(now_ns - started_ns, 1_000_000_000)) / 1e9
            rates = {name: round(sum(t > since for t in ticks) / span_s, 1) for name, ticks in self._ticks.items()}
            values = {name: [v for t, v in pairs if t > since] for name, pairs in self._values.items()}
            dropped = dict(self._dropped)
        latency = {name: percentiles(found) for name, found in values.items() if found}
        return MetricsSnapshot(rates, latency, dropped)

    def totals(self) -> MetricsTotals:
        """Return a copy of what was counted since the start."""
        with self._lock:
            latencies = {name: replace(found, counts=[*found.counts]) for name, found in self._histograms.items()}
            return MetricsTotals(dict(self._events), latencies)

    def _begin(self, now_ns: int) -> None:
        if self._started_ns is None:
            self._started_ns = now_ns


def percentiles(values_ms: list[float]) -> dict[str, float]:
    """Compute p50, p95 and p99 of at least one value, ms, interpolated linearly.

    NumPy takes ten times as long for the few values of a window, and every session computes them each second.
    """
    ordered = sorted(values_ms)
    found = {}
    for percent in (50, 95, 99):
        at = percent / 100 * (len(ordered) - 1)
        below, above = ordered[math.floor(at)], ordered[math.ceil(at)]
        found[f"p{percent}"] = round(below + (at % 1) * (above - below), 1)
    return found
