"""What is not on show and is remembered, each thing as a trace that moves along with the picture."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from realtime.tracking.dwell.mask_points import Mapper, MaskPoints, map_together
from realtime.tracking.dwell.settings import DwellSettings
from realtime.types import Mask


@dataclass(slots=True, eq=False)
class TrackedObject:
    """One thing that is, or was, on show."""

    id: int
    trace: MaskPoints
    seen_ns: int
    dwell_ns: int = 0
    level: int | None = None
    is_rising: bool = True
    is_level_fixed: bool = False
    """Its level was asked for, and steps no more by itself."""
    is_external: bool = False
    """By others: nobody has looked at it yet."""


class ObjectMemory:
    """Things by what they looked like last, and the numbers that are given to new ones."""

    def __init__(self, settings: DwellSettings, last_id: int) -> None:
        self._settings = settings
        self._things: list[TrackedObject] = []
        self._broken_ns: int | None = None
        self.last_id = last_id

    def __len__(self) -> int:
        """How many things are remembered."""
        return len(self._things)

    @property
    def broken_ns(self) -> int | None:
        """When the picture's chain last broke."""
        return self._broken_ns

    def new(self, trace: MaskPoints, now_ns: int, *, is_external: bool = False) -> TrackedObject:
        """A thing that was never seen before; not remembered until it is kept."""
        self.last_id += 1
        return TrackedObject(self.last_id, trace, now_ns, is_external=is_external)

    def keep(self, thing: TrackedObject) -> None:
        """Remember a thing."""
        self._things.append(thing)

    def move(self, mapping: Mapper) -> None:
        """Carry all to the newest frame's pixels."""
        moved = map_together([thing.trace for thing in self._things], mapping)
        pairs = zip(self._things, moved, strict=True)
        self._things = [replace(thing, trace=trace) for thing, trace in pairs if trace is not None]

    def forget(self, now_ns: int, *, broken: bool) -> None:
        """Drop what is too old, too many, or was not carried over a break for longer than a look away."""
        if broken:
            self._broken_ns = now_ns
        limits, broken_ns = self._settings, self._broken_ns
        oldest_ns = now_ns - limits.remember_s * 1e9
        if broken_ns is not None and now_ns - broken_ns >= limits.lost_s * 1e9:
            oldest_ns = max(oldest_ns, broken_ns)
        self._things = [thing for thing in self._things if thing.seen_ns > oldest_ns]
        for is_external, most in ((False, limits.remember), (True, limits.remember_told)):
            alike = [thing for thing in self._things if thing.is_external is is_external]
            extra = alike[: max(len(alike) - most, 0)]
            self._things = [thing for thing in self._things if thing not in extra]

    def recall(self, mask: Mask, frame_size: tuple[int, int]) -> TrackedObject | None:
        """The thing that lies where a mask of the newest frame does, taken out; the best if several do."""
        limits, best, best_iou = self._settings, None, -1.0
        shown = MaskPoints.from_mask(mask, frame_size)
        for thing in self._things:
            lies = thing.trace.compare_to(mask, frame_size, shown)
            ratio = max(lies.area_ratio, 1.0 / lies.area_ratio) if lies.area_ratio > 0 else math.inf
            within = max(lies.inside, lies.inside / lies.area_ratio) if ratio < math.inf else 0.0
            nested = within >= limits.recall_inside and ratio <= limits.recall_area_ratio
            if (lies.iou >= limits.recall_iou or nested) and lies.iou > best_iou:
                best, best_iou = thing, lies.iou
        self._things = [thing for thing in self._things if thing is not best]
        if best is not None:
            best.is_external = False
        return best

    def add_objects(
        self, traces: Sequence[MaskPoints], on_show: TrackedObject | None, frame_size: tuple[int, int], now_ns: int
    ) -> list[int]:
        """Ids of things that others found in the newest frame, remembered from now on.

        What is on show or remembered already keeps the id that it has.
        """
        there = [thing for thing in (on_show, *self._things) if thing is not None]
        known = [(thing, thing.trace.rasterize(frame_size)) for thing in there]
        ids = []
        for trace in traces:
            lies = [(trace.compare_to(mask, frame_size, thing.trace).iou, thing) for thing, mask in known]
            iou, same = max(lies, key=lambda pair: pair[0], default=(0.0, None))
            if same is None or iou < self._settings.recall_iou:
                same = self.new(trace, now_ns, is_external=True)
                self.keep(same)
            elif same is not on_show:
                same.seen_ns = now_ns
            ids.append(same.id)
        return ids
