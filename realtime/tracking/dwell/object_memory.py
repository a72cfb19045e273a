"""Remembers objects that are not shown, as points that move along with the picture."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from realtime.tracking.dwell.mask_points import Mapper, MaskPoints, map_together
from realtime.tracking.dwell.settings import DwellSettings
from realtime.types import Mask


@dataclass(slots=True, eq=False)
class TrackedObject:
    """An object that is or was shown.

    is_level_fixed: the user chose its level; it does not step by itself. is_external: reported by another program and
    not fixated yet.
    """

    id: int
    points: MaskPoints
    seen_ns: int
    dwell_ns: int = 0
    level: int | None = None
    is_rising: bool = True
    is_level_fixed: bool = False
    is_external: bool = False


class ObjectMemory:
    """Recalls objects by their last position, and numbers new ones.

    broken_ns: time of the last break of the motion chain; None before one.
    """

    def __init__(self, settings: DwellSettings, last_id: int) -> None:
        self._settings = settings
        self._objects: list[TrackedObject] = []
        self.broken_ns: int | None = None
        self.last_id = last_id

    def __len__(self) -> int:
        return len(self._objects)

    def create(self, points: MaskPoints, now_ns: int, *, is_external: bool = False) -> TrackedObject:
        """Make an object with a new id; remembered only by `add`."""
        self.last_id += 1
        return TrackedObject(self.last_id, points, now_ns, is_external=is_external)

    def add(self, tracked: TrackedObject) -> None:
        """Remember an object."""
        self._objects.append(tracked)

    def move(self, mapping: Mapper) -> None:
        """Carry all objects to the newest frame's pixels."""
        moved = map_together([tracked.points for tracked in self._objects], mapping)
        pairs = zip(self._objects, moved, strict=True)
        self._objects = [replace(tracked, points=points) for tracked, points in pairs if points is not None]

    def forget(self, now_ns: int, *, broken: bool) -> None:
        """Drop objects that are too old, too many, or from before a break of the motion chain `lost_s` ago."""
        if broken:
            self.broken_ns = now_ns
        limits, broken_ns = self._settings, self.broken_ns
        oldest_ns = now_ns - limits.remember_s * 1e9
        if broken_ns is not None and now_ns - broken_ns >= limits.lost_s * 1e9:
            oldest_ns = max(oldest_ns, broken_ns)
        self._objects = [tracked for tracked in self._objects if tracked.seen_ns > oldest_ns]
        for is_external, most in ((False, limits.remember), (True, limits.remember_told)):
            alike = [tracked for tracked in self._objects if tracked.is_external is is_external]
            extra = alike[: max(len(alike) - most, 0)]
            self._objects = [tracked for tracked in self._objects if tracked not in extra]

    def recall(self, mask: Mask, frame_size: tuple[int, int]) -> TrackedObject | None:
        """Remove and return the object at the position of a mask of the newest frame; the best match of several."""
        limits, best, best_iou = self._settings, None, -1.0
        shown = MaskPoints.from_mask(mask, frame_size)
        for tracked in self._objects:
            lies = tracked.points.compare_to(mask, frame_size, shown)
            ratio = max(lies.area_ratio, 1.0 / lies.area_ratio) if lies.area_ratio > 0 else math.inf
            within = max(lies.inside, lies.inside / lies.area_ratio) if ratio < math.inf else 0.0
            nested = within >= limits.recall_inside and ratio <= limits.recall_area_ratio
            if (lies.iou >= limits.recall_iou or nested) and lies.iou > best_iou:
                best, best_iou = tracked, lies.iou
        self._objects = [tracked for tracked in self._objects if tracked is not best]
        if best is not None:
            best.is_external = False
        return best

    def add_objects(
        self, found: Sequence[MaskPoints], shown_object: TrackedObject | None, frame_size: tuple[int, int], now_ns: int
    ) -> list[int]:
        """Remember objects that other programs found in the newest frame; returns their ids.

        A shown or remembered object keeps its id.
        """
        there = [tracked for tracked in (shown_object, *self._objects) if tracked is not None]
        known = [(tracked, tracked.points.rasterize(frame_size)) for tracked in there]
        ids = []
        for points in found:
            lies = [(points.compare_to(mask, frame_size, tracked.points).iou, tracked) for tracked, mask in known]
            iou, same = max(lies, key=lambda pair: pair[0], default=(0.0, None))
            if same is None or iou < self._settings.recall_iou:
                same = self.create(points, now_ns, is_external=True)
                self.add(same)
            elif same is not shown_object:
                same.seen_ns = now_ns
            ids.append(same.id)
        return ids
