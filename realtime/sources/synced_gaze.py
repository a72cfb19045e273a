"""Plays recorded gaze in sync with recorded frames."""

from __future__ import annotations

from realtime.sources.base import ThreadedSource
from realtime.sources.video_file import PlaybackClock
from realtime.types import OnEvent, OnGaze


class SyncedGaze(ThreadedSource):
    """A base of `GazeSource`s on the clock of a clip or recording; start it before the frames.

    In real time every sample is published when it is due. Else all samples up to a frame's time are published just
    before that frame, on the player's thread.
    """

    def __init__(self, clock: PlaybackClock, waiting: str) -> None:
        super().__init__(waiting)
        self._clock = clock
        self._on_gaze: OnGaze = lambda sample: None

    def start(self, on_gaze: OnGaze, on_event: OnEvent | None = None) -> None:
        """Start playing with the frames."""
        self._on_gaze, self._monitor.on_event = on_gaze, on_event
        if self._clock.real_time:
            self._start_threads(on_event, **{"gaze along": self._play})
        else:
            self._clock.add_follower(self._play_until)

    def _play(self) -> None:
        """Publish every sample when it is due, in real time, until the end or `_stop`."""
        raise NotImplementedError

    def _play_until(self, clip_s: float) -> None:
        """Publish all samples due by `clip_s`, at any speed."""
        raise NotImplementedError
