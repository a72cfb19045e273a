"""Two runs that fill one empty cache of engines at once, which is then removed under them."""

from __future__ import annotations

import shutil
import signal
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from engines.settings import default_cache_dir
from engines.weights import is_cached
from tests.faults.device import FaultyDevice
from tests.faults.observed_run import ObservedRun
from tests.realtime.waiting import eventually

MODEL = "mobile_sam"
OPEN_S = 300.0
"""Limit of opening: graphs are compiled and accepted by two runs at once."""


@dataclass(frozen=True, slots=True)
class CacheReport:
    """Holds what happened to runs whose cache is shared, then removed.

    ready_s: from the start to the first mask of each. masks: of each after the removal. states: of `health` after it.
    exit_codes: after SIGTERM.
    """

    ready_s: tuple[float, ...]
    masks: tuple[int, ...]
    states: tuple[str, ...]
    exit_codes: tuple[int, ...]


def has_weights() -> bool:
    """Return whether the weights are there, which tests do not fetch."""
    return is_cached(MODEL)


def share_cache(folder: Path, lasts_s: float) -> CacheReport:
    """Start two runs on one empty cache, remove it when both publish masks, and end them."""
    cache = folder / "cache"
    cache.mkdir()
    (cache / "models").symlink_to(default_cache_dir().parent / "models")
    device = FaultyDevice()
    environment = {"GAZECAST_CACHE": str(cache)}
    with ExitStack() as stack:
        stack.callback(device.kill)
        runs = [
            stack.enter_context(
                ObservedRun(f"pupil://127.0.0.1:{device.port}", engine="openvino", environment=environment)
            )
            for _ in range(2)
        ]
        for run in runs:
            eventually(lambda run=run: run.masks() or run.process.poll() is not None, "a mask", OPEN_S)
            assert run.process.poll() is None, run.output
        shutil.rmtree(cache)
        removed_ns = time.monotonic_ns()
        eventually(lambda: time.monotonic_ns() > removed_ns + lasts_s * 1e9)
        eventually(lambda: all(run.masks(removed_ns) for run in runs), "masks after the removal")
        masks = tuple(len(run.masks(removed_ns)) for run in runs)
        health = [message for run in runs for _, message in run.health(removed_ns)]
        states = dict.fromkeys(f"{each.state} {each.reason}".strip() for each in health)
        for run in runs:
            run.process.send_signal(signal.SIGTERM)
        codes = tuple(run.process.wait(60) for run in runs)
        return CacheReport(tuple(_find_ready_s(run) for run in runs), masks, tuple(states), codes)


def _find_ready_s(run: ObservedRun) -> float:
    first = next(each for each in run.arrivals if hasattr(each.message, "mask"))
    return (first.arrived_ns - run.started_ns) / 1e9
