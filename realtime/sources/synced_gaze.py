"""Gaze that plays along with frames that were recorded before."""

from __future__ import annotations

import threading

from realtime.sources.base import SourceMonitor
from realtime.sources.video_file import PlaybackClock
from realtime.types import OnEvent, OnGaze, SourceStatus


class SyncedGaze:
    """A `GazeSource` on the clock of a clip or recording; what it gives is its heirs' to say. Start it before them.

    In real time every sample is given when its time has come. Else all samples up to a frame's time are given just
    before that frame, on the player's thread.
    """

    def __init__(self, clock: PlaybackClock, waiting: str) -> None:
        self._clock = clock
        self._monitor = SourceMonitor("connecting", waiting)
        self._on_gaze: OnGaze = lambda sample: None
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, on_gaze: OnGaze, on_event: OnEvent | None = None) -> None:
        """Begin to play along."""
        self._on_gaze, self._monitor.on_event = on_gaze, on_event
        if self._clock.real_time:
            self._thread = threading.Thread(target=self._guard, name="gaze along", daemon=True)
            self._thread.start()
        else:
            self._clock.add_follower(self._play_until)

    def stop(self) -> None:
        """End within a second."""
        self._stop.set()
        if self._thread:
            self._thread.join(0.9)

    def status(self) -> SourceStatus:
        """How it is doing."""
        return self._monitor.status()

    def _play(self) -> None:
        """In real time: give every sample when it is due, until the end or `_stop`."""
        raise NotImplementedError

    def _play_until(self, clip_s: float) -> None:
        """At any speed: give all that is due by `clip_s`."""
        raise NotImplementedError

    def _guard(self) -> None:
        try:
            self._play()
        except Exception as error:
            self._monitor.set_state("failed", f"{type(error).__name__}: {error}")
