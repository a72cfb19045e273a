"""Measures how long engines take on this machine, and remembers it, so that the next run starts at the right side."""

from __future__ import annotations

import math
import os
import statistics
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from engines import cache
from engines.base import EngineInfo, ModelError

NAME = "speed"
MAX_TIME_RATIO = 0.95
"""Of int8's and float's time for a picture, beyond which int8 is not worth its error."""


class SpeedRecord:
    """Keeps the milliseconds per megapixel of encoded picture, in a note of the cache. Any thread."""

    def __init__(self, root: Path, key: Mapping[str, str]) -> None:
        """key: all that the speed depends on, see `speed_key`."""
        self._root, self._key = root, dict(key)

    def read(self) -> float | None:
        """Read the speed; None where it is not known."""
        return self._read_ms("ms_per_megapixel")

    def write(self, ms_per_megapixel: float) -> None:
        """Write the speed; where the cache cannot be written, the next run only starts slower."""
        self._update({"ms_per_megapixel": round(ms_per_megapixel, 1)})

    def read_tracking(self) -> float | None:
        """Read how long the tracker takes for a frame beside this encoder, ms; None where it is not known."""
        return self._read_ms("tracking_ms")

    def write_tracking(self, tracking_ms: float) -> None:
        """Write how long the tracker takes for a frame, with a working picture of its usual side."""
        self._update({"tracking_ms": round(tracking_ms, 1)})

    def read_ratios(self, part: str) -> dict[int, float]:
        """Read what larger batches gain: by their size, an item's time over that in the next smaller one.

        part: "encoder" or "decoder".
        """
        found = self._read().get(f"{part}_batches")
        pairs = found.items() if isinstance(found, dict) else ()
        return {int(size): float(ratio) for size, ratio in pairs if size.isdigit() and isinstance(ratio, int | float)}

    def write_ratios(self, ratios: Mapping[str, Mapping[int, float]]) -> None:
        """Write what larger batches gain, by part; sizes that failed are left out."""
        self._update({
            f"{part}_batches": {str(size): round(ratio, 3) for size, ratio in each.items() if math.isfinite(ratio)}
            for part, each in ratios.items()
        })  # fmt: skip

    def _read_ms(self, name: str) -> float | None:
        found = self._read().get(name)
        return float(found) if isinstance(found, int | float) and 0 < found < math.inf else None

    def _read(self) -> dict[str, Any]:
        return cache.read_verdict(self._root, NAME, self._key) or {}

    def _update(self, figures: Mapping[str, Any]) -> None:
        file = cache.file_path(self._root, NAME, self._key, ".json")
        with suppress(ModelError):
            cache.write_note(file, NAME, self._key, gate={**self._read(), **figures})


def speed_key(info: EngineInfo) -> dict[str, str]:
    """Return what an engine's speed depends on, beside its weights."""
    return {
        "format": "speed", "backend": info.backend, "precision": info.precision, "device": info.device,
        "versions": str(sorted(info.versions.items())), "threads": str(info.threads["encoder"]),
        "instructions": os.environ.get("ONEDNN_MAX_CPU_ISA", ""),  # which may hold back what the device has
    }  # fmt: skip


def time_alternating(runs: dict[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """Measure each run's median in milliseconds, alternating in every round, without the first round."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for index in range(rounds + 1):
        for name, run in runs.items():
            start = time.perf_counter_ns()
            run()
            if index:
                times[name].append((time.perf_counter_ns() - start) / 1e6)
    return {name: statistics.median(values) for name, values in times.items()}
