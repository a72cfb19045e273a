"""Computes how many wearers fit to an engine, from its measured service times. Pure."""

from __future__ import annotations

import math
import statistics
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from engines.graphs import EncoderGraph
from realtime.config.sharing import SharingSettings
from realtime.serving.lane_statistics import LaneStatistics


@dataclass(frozen=True, slots=True)
class MeasuredCost:
    """Holds what serving costs on this machine; None where it was not measured yet.

    encode_ms: of one picture at the smallest side that the engine may choose. decode_ms: of one request to the decoder,
    which may have several prompts. decode_hz: requests a second of a wearer.
    wearer_cores: CPU time a second of everything but the engine, for each wearer; cores: those of the machine.
    Both for a wearer of whom every frame is tracked.
    """

    encode_ms: float | None
    decode_ms: float | None = None
    decode_hz: float = 0.0
    wearer_cores: float | None = None
    cores: int = 1


@dataclass(frozen=True, slots=True)
class Admission:
    """Holds the answer to a request for one more session.

    fits: the number of wearers that fit; None where nothing was measured yet. reason: which part is the limit, with
    figures.
    """

    is_admitted: bool
    fits: int | None
    reason: str


def admit(open_count: int, cost: MeasuredCost, settings: SharingSettings) -> Admission:
    """Decide whether a session fits beside `open_count` others; the first always does."""
    limits = list_limits(cost, settings)
    if not limits:
        return Admission(True, None, "nothing was measured yet")
    fits, reason = min(limits)
    fits = max(1, fits)
    return Admission(open_count < fits, fits, f"{reason}: {fits} {'wearer fits' if fits == 1 else 'wearers fit'}")


def list_limits(cost: MeasuredCost, settings: SharingSettings) -> list[tuple[int, str]]:
    """List how many wearers each part allows, with the reason.

    A wearer's keyframe is renewed once in a round of all wearers, and is used from the end of its own encode until the
    end of the next: its age is at most a round and an encode.
    """
    found = []
    if cost.encode_ms:
        age_ms = settings.max_keyframe_age_ms
        fits = math.floor(age_ms / cost.encode_ms - 1)
        found.append((fits, f"a picture takes {cost.encode_ms:.0f} ms, and keyframes may be {age_ms:.0f} ms old"))
    if cost.decode_ms:
        hz = max(cost.decode_hz, settings.min_decode_hz)
        fits = math.floor(settings.max_load * 1000 / (hz * cost.decode_ms))
        found.append((fits, f"a prompt takes {cost.decode_ms:.1f} ms, {hz:.0f} times a second for each wearer"))
    if cost.wearer_cores:
        cores = settings.max_load * cost.cores - (1 if cost.cores > 1 else 0)  # the engine has one
        found.append((math.floor(cores / cost.wearer_cores),
                      f"a wearer takes {cost.wearer_cores:.2f} of {cost.cores} cores beside the engine"))  # fmt: skip
    return found


def smallest_encode_ms(statistics: LaneStatistics, sides: Sequence[int]) -> float | None:
    """Return the time of a picture at the smallest of the sides, from that of the last ones: it grows with the area."""
    pictures = [
        (shape.height * shape.width * size, max(shape.height, shape.width), size, ms)
        for shape, size, ms in statistics.recent
        if isinstance(shape, EncoderGraph)
    ]
    if not pictures or not sides:
        return statistics.item_ms
    area = sum(pixels for pixels, *_ in pictures)
    smallest = sum(pixels * (min(sides) / side) ** 2 for pixels, side, *_ in pictures)
    count = sum(size for _, _, size, _ in pictures)
    return sum(ms for *_, ms in pictures) / area * smallest / count


@dataclass(frozen=True, slots=True)
class LoadCounts:
    """Counts what a host has done until a time. All but `at_ns` and `wearers` grow.

    cpu_ns, engine_ns: CPU time of the process, and of it the engine's. decodes: requests that the decoder served.
    received, tracked: frames of all wearers, within `host.max_fps`. wearers: those who send frames now.
    """

    at_ns: int
    cpu_ns: int
    engine_ns: int
    decodes: int
    received: int
    tracked: int
    wearers: int


class LoadMeter:
    """Measures what wearers cost beside the engine: the median of the last windows of `WINDOW_S`. One thread at a time.

    A single window differs by half from the next: a busy second of the machine would refuse a wearer who fits.
    Where not every frame is tracked, wearers get less, and cost less, than the same would with the machine to
    themselves. Their cost is that of a tracked frame at the rate of received ones: an upper bound, since receiving
    does not cost more then.
    """

    WINDOW_S = 5.0
    WINDOWS = 5

    def __init__(self) -> None:
        self._begun: LoadCounts | None = None
        self._windows: deque[tuple[float, float]] = deque(maxlen=self.WINDOWS)  # cores, requests to the decoder
        self.wearer_cores: float | None = None
        """CPU time a second of each wearer beside the engine; None until a window has passed."""
        self.decode_hz = 0.0
        """Requests a second of each wearer to the decoder."""

    def observe(self, now: LoadCounts) -> None:
        """Record the present counts.

        A window in which the number of wearers changes, or no frame was tracked, is dropped: starting costs more.
        """
        begun = self._begun
        if begun is None or begun.wearers != now.wearers:
            self._begun = now
            return
        elapsed_ns = now.at_ns - begun.at_ns
        if elapsed_ns < self.WINDOW_S * 1e9 or not now.wearers:
            return
        self._begun = now
        tracked, received = now.tracked - begun.tracked, now.received - begun.received
        if tracked <= 0:
            return
        scale = max(1.0, received / tracked) / now.wearers / elapsed_ns
        beside_ns = now.cpu_ns - begun.cpu_ns - (now.engine_ns - begun.engine_ns)
        self._windows.append((max(0.0, beside_ns * scale), (now.decodes - begun.decodes) * scale * 1e9))
        self.wearer_cores, self.decode_hz = map(statistics.median, zip(*self._windows, strict=True))
