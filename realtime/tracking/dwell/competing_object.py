"""Measures for how long the gaze has been on another object than the shown one."""

from __future__ import annotations

from realtime.tracking.dwell.mask_points import Mapper, MaskPoints
from realtime.tracking.dwell.object_memory import TrackedObject
from realtime.tracking.dwell.observation import DwellInput
from realtime.tracking.gaze.estimate import GazeEstimate


class CompetingObject:
    """Holds the points of the other object under the gaze, and since when it is there; both None without one."""

    def __init__(self, same_iou: float) -> None:
        self._same_iou = same_iou
        self.clear()

    def clear(self) -> None:
        """Forget the object."""
        self._points: MaskPoints | None = None
        self.since_ns: int | None = None

    def move(self, mapping: Mapper) -> None:
        """Carry the object to the newest frame's pixels; forget it if it cannot be."""
        if self._points is not None:
            self._points = self._points.map(mapping)
            self.since_ns = None if self._points is None else self.since_ns

    def update(
        self,
        observed: DwellInput,
        gaze: GazeEstimate,
        fresh: MaskPoints,
        shown: TrackedObject | None = None,
        is_clear: bool = False,
    ) -> int:
        """Update with a fresh decode; returns for how long its object has competed, ns.

        is_clear: the gaze is certainly off the shown mask: counts from when it left.
        """
        since_ns = gaze.onset_ns if shown is None else max(gaze.onset_ns, shown.seen_ns)
        assert observed.decoded is not None
        if self._points is not None and self.since_ns is not None:
            iou = self._points.compare_to(observed.decoded, observed.frame_size).iou
            since_ns = self.since_ns if iou >= self._same_iou else since_ns
        if is_clear and shown is not None:
            since_ns = min(since_ns, shown.seen_ns)
        self._points, self.since_ns = fresh, since_ns
        return observed.now_ns - since_ns
