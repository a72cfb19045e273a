"""Computes how many wearers fit to an engine, from its measured service times. Pure."""

from __future__ import annotations

import math
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


class LoadMeter:
    """Measures, over at least `WINDOW_S`, what wearers cost beside the engine. One thread at a time."""

    WINDOW_S = 5.0

    def __init__(self) -> None:
        self._begun: tuple[int, int, int, int, int] | None = None
        self.wearer_cores: float | None = None
        """CPU time a second of each wearer beside the engine; None until a window has passed."""
        self.decode_hz = 0.0
        """Requests a second of each wearer to the decoder."""

    def observe(self, at_ns: int, cpu_ns: int, engine_ns: int, decodes: int, wearers: int) -> None:
        """Record the process's CPU time, the engine's, the decoder's served requests, and the wearers who send frames.

        A window in which the number of wearers changes is dropped: starting costs more.
        """
        if self._begun is None or self._begun[4] != wearers:
            self._begun = at_ns, cpu_ns, engine_ns, decodes, wearers
            return
        elapsed_ns = at_ns - self._begun[0]
        if elapsed_ns < self.WINDOW_S * 1e9 or not wearers:
            return
        beside_ns = cpu_ns - self._begun[1] - (engine_ns - self._begun[2])
        self.wearer_cores = max(0.0, beside_ns / elapsed_ns / wearers)
        self.decode_hz = (decodes - self._begun[3]) / wearers / (elapsed_ns / 1e9)
        self._begun = at_ns, cpu_ns, engine_ns, decodes, wearers
