"""Plays recorded gaze in sync with recorded frames."""

from __future__ import annotations

from dataclasses import replace

from realtime.infra.clock import now_ns
from realtime.sources.base import ThreadedSource
from realtime.sources.video.video_file import PlaybackClock
from realtime.types import GazeSample, OnEvent, OnGaze

_LONG_NS = 1_000_000_000
"""A longer time without gaze is shown in the state."""


class SyncedGaze(ThreadedSource):
    """A base of `GazeSource`s on the clock of a clip or recording; start it before the frames.

    In real time every sample is published when it is due. Else all samples up to a frame's time are published just
    before that frame, on the player's thread.
    """

    is_live = False

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
            self._clock.followers.append(self._play_until)

    def _due_s(self) -> float | None:
        """Return when the next sample is due on the clock; None while there is none, or at the end."""
        raise NotImplementedError

    def _next_sample(self) -> tuple[GazeSample, int]:
        """Return the next sample and advance; with the time from its capture until it is due, ns."""
        raise NotImplementedError

    def _play(self) -> None:
        """Publish every sample when it is due, in real time, until the end or `_stop`."""
        while not self._stop.is_set() and self._monitor.status().state != "ended":
            due_s = self._due_s()
            due_ns = None if due_s is None else self._clock.host_ns(due_s)
            if due_ns is None:
                self._stop.wait(0.01)  # the clip has not started, or will end or start again
            elif due_ns > now_ns():
                if due_ns - now_ns() > _LONG_NS:
                    self._monitor.set_state("waiting", f"the next gaze is at {due_s:.1f} s of the clip")
                self._stop.wait(min(0.05, (due_ns - now_ns()) / 1e9))  # the clip may be delayed meanwhile
            else:
                self._publish(due_ns)

    def _play_until(self, clip_s: float) -> None:
        """Publish all samples due by `clip_s`, at any speed."""
        while (due_s := self._due_s()) is not None and due_s <= clip_s and not self._stop.is_set():
            self._publish(self._clock.host_ns(due_s) or now_ns())

    def _publish(self, due_ns: int) -> None:
        """Publish the next sample with host times; without real time it has no separate receive time."""
        sample, lag_ns = self._next_sample()
        received_ns = now_ns() if self._clock.real_time else due_ns
        self._monitor.count_received()
        self._monitor.set_state("running")
        self._on_gaze(replace(sample, captured_ns=min(received_ns, due_ns - lag_ns), received_ns=received_ns))
