"""Decides by measured times which batch sizes pay. Pure."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Hashable, Mapping

from engines.graphs import SHARED_BATCHES

GAIN = 0.95
"""A larger batch is used where a picture in it takes at most this share of the time in the next smaller one."""
TRIALS = 6
"""Batches of a size that are run before it is judged, and the newest of the smaller size that it is compared with. The
least times are compared, because other load only adds to them."""
KEPT = 64


class BatchCosts:
    """Holds the service times of one encoder or decoder by shape and batch size, and judges each size once.

    A size is tried once its graph is ready, on requests that are waiting anyway. The verdict on one shape holds for
    all: whether batches pay is a matter of the device. One thread at a time.
    """

    def __init__(self, max_batch: int = SHARED_BATCHES[-1], ratios: Mapping[int, float] | None = None) -> None:
        """ratios: of earlier runs, see `ratios`."""
        self._sizes = tuple(size for size in SHARED_BATCHES if size <= max_batch)
        self.ratios: dict[int, float] = {size: ratio for size, ratio in (ratios or {}).items() if size in self._sizes}
        """By batch size, a picture's time over that in the next smaller batch; of sizes that were judged."""
        self._times: dict[tuple[Hashable, int], deque[float]] = defaultdict(lambda: deque(maxlen=KEPT))
        self._ready: set[tuple[Hashable, int]] = set()
        self.recent: deque[tuple[Hashable, int, float]] = deque(maxlen=KEPT)
        """The last batches: shape, size and service time in ms."""

    def set_ready(self, shape: Hashable, size: int) -> None:
        """Allow batches of a size, whose graph is compiled."""
        self._ready.add((shape, size))

    def refuse(self, size: int) -> None:
        """Use no batches of this size any more, because one failed."""
        self.ratios[size] = float("inf")

    def observe(self, shape: Hashable, size: int, service_ms: float) -> None:
        """Record how long a batch took."""
        self.recent.append((shape, size, service_ms))
        times = self._times[shape, size]
        times.append(service_ms)
        if size > 1 and size not in self.ratios and len(times) >= TRIALS:
            smaller = self._times[shape, size // 2]
            if len(smaller) >= TRIALS:
                self.ratios[size] = _least(times) / _least(smaller) / 2

    def choose_size(self, shape: Hashable, count: int) -> int:
        """Return the batch size for `count` waiting requests of a shape."""
        if shape is None:
            return 1
        chosen = 1
        for size in self._sizes[1:]:
            if size > count or not self._may_pay(size) or (shape, size) not in self._ready:
                break
            if size not in self.ratios and len(self._times[shape, size // 2]) < TRIALS:
                break  # nothing to compare it with
            chosen = size
        return chosen

    def find_missing(self, shape: Hashable, count: int) -> int | None:
        """Return the size whose graph would be used for `count` requests of a shape if it were compiled."""
        if shape is None:
            return None
        for size in self._sizes[1:]:
            if size > count or not self._may_pay(size):
                return None
            if (shape, size) not in self._ready:
                return size
            if size not in self.ratios:
                return None  # it is being tried
        return None

    def samples(self) -> dict[tuple[Hashable, int], list[float]]:
        """Return the last service times in ms, by shape and batch size."""
        return {key: list(times) for key, times in self._times.items() if times}

    def _may_pay(self, size: int) -> bool:
        return self.ratios.get(size, 0.0) <= GAIN


def _least(times: deque[float]) -> float:
    return min(list(times)[-TRIALS:])
