"""Plays a gaze trace in sync with its clip."""

from __future__ import annotations

from collections.abc import Sequence

from realtime.sources.gaze_files.trace_values import TracePoint
from realtime.sources.synced_gaze import SyncedGaze
from realtime.sources.video.video_file import PlaybackClock
from realtime.types import GazeSample


class TraceGaze(SyncedGaze):
    """A `GazeSource` that plays a trace on the clock of a clip, and repeats it with the clip."""

    def __init__(self, points: Sequence[TracePoint], clip: PlaybackClock) -> None:
        """points: sorted by time, seconds after the clip's first frame; those before it are left out."""
        super().__init__(clip, "waiting for the clip to begin")
        self._points = [point for point in points if point.timestamp >= 0]
        self._pass = self._next = 0

    def _due_s(self) -> float | None:
        clip, start_s = self._clock, self._pass * (self._clock.period_s or 0.0)
        due_s = start_s + self._points[self._next].timestamp if self._next < len(self._points) else None
        if clip.passes > self._pass + 1 and (due_s is None or due_s >= start_s + (clip.period_s or 0.0)):
            self._pass, self._next = self._pass + 1, 0
            return self._due_s()
        if clip.end_s is not None and (due_s is None or due_s >= clip.end_s):
            self._monitor.set_state("ended", "the clip has ended")
            return None
        return due_s

    def _next_sample(self) -> tuple[GazeSample, int]:
        point, clip_s = self._points[self._next], self._pass * (self._clock.period_s or 0.0)
        self._next += 1
        timestamp = clip_s + point.timestamp
        return GazeSample(
            point.x, point.y, "px", point.confidence, timestamp, 0, 0, px_per_degree=point.px_per_degree
        ), 0
