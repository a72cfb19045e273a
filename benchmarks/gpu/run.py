"""Collects what is measured on a GPU, part by part, and times work on it."""

from __future__ import annotations

import json
import platform
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.gpu.report import timing_row


class GpuRun:
    """Collects measurements; a part that fails is skipped with its reason, and the next one runs."""

    def __init__(self, device: str, rounds: int, seconds: float) -> None:
        self.device, self.rounds, self.seconds = device, rounds, seconds
        self.file: Path | None = None
        """Set the file that is written after every part, so that an interrupted run loses nothing."""
        self.result: dict[str, Any] = {
            "date": datetime.now(UTC).date().isoformat(), "machine": platform.platform(), "gpu": None,
            "versions": {"python": platform.python_version()}, "weights": "", "ceiling_tflops": None,
            "rows": [], "gates": [], "path": [], "memory_mib": {}, "left_out": [],
        }  # fmt: skip

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Run one part and record its error."""
        print(f"- {name}", file=sys.stderr, flush=True)
        begun = time.monotonic()
        try:
            yield
        except Exception as error:  # one part must not cost the others
            reason = (str(error).strip().splitlines() or [""])[0][:300]
            self.left_out(f"{name}: {type(error).__name__}: {reason}")
        print(f"  {time.monotonic() - begun:.1f} s", file=sys.stderr, flush=True)
        if self.file is not None:
            self.file.write_text(json.dumps(self.result, indent=2) + "\n")

    def left_out(self, reason: str) -> None:
        """Record a skipped part with its reason."""
        self.result["left_out"].append(reason)

    def add(self, work: str, by: str, times_ms: Sequence[float], timer: str = "device") -> None:
        """Record the times of one kind of work."""
        self.result["rows"].append(timing_row(work, by, times_ms, self.result["ceiling_tflops"], timer))

    def device_ms(self, work: Callable[[], Any], stream: Any = None) -> list[float]:
        """Time single runs on a stream by the device's events, after some that do not count."""
        import torch

        for _ in range(max(3, self.rounds // 10)):
            work()
        if self.device == "cpu":
            return self.host_ms(work)
        times = []
        for _ in range(self.rounds):
            begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            torch.cuda.synchronize()
            begin.record(stream)
            work()
            end.record(stream)
            end.synchronize()
            times.append(begin.elapsed_time(end))
        return times

    def host_ms(self, work: Callable[[], Any]) -> list[float]:
        """Time single runs that end when the host has the result."""
        times = []
        for _ in range(self.rounds):
            begun = time.perf_counter_ns()
            work()
            times.append((time.perf_counter_ns() - begun) / 1e6)
        return times
