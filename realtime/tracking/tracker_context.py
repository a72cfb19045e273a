"""Holds what every part of the tracker knows of now: the newest frame and keyframe, and the time of the last step."""

from __future__ import annotations

from collections.abc import Callable

from realtime.tracking.keyframe import Keyframe
from realtime.types import Frame


class TrackerContext:
    """The newest frame and keyframe, and the time, all of them since the source last began. One thread.

    now_ns: of the last step, host ns; kept when the source begins anew. None before the first.
    """

    def __init__(self, clock_ns: Callable[[], int], *, frame_time: bool) -> None:
        """See `Tracker`."""
        self.clock_ns, self.frame_time = clock_ns, frame_time
        self.frame: Frame | None = None
        self.keyframe: Keyframe | None = None
        self.now_ns: int | None = None
        self._restarted_ns: int | None = None  # when the source last began anew

    def advance(self, frame: Frame) -> int:
        """Read the time of the step to a frame."""
        self.now_ns = frame.captured_ns if self.frame_time else self.clock_ns()
        return self.now_ns

    def read_now(self) -> int:
        """Read the present time, host ns; where frames' own times count, that of the last step."""
        return self.now_ns if self.frame_time and self.now_ns is not None else self.clock_ns()

    def has_restarted(self, frame: Frame) -> bool:
        """Return whether the device counts from the start again or sends another size, so that memory is useless."""
        return self.frame is not None and (frame.index <= self.frame.index or frame.size != self.frame.size)

    def restart(self, frame: Frame) -> None:
        """Begin anew with the first frame of a source that has restarted."""
        self.frame = self.keyframe = None
        self._restarted_ns = frame.received_ns

    def is_before_restart(self, received_ns: int) -> bool:
        """Return whether a frame was received before the source last began anew."""
        return self._restarted_ns is not None and received_ns < self._restarted_ns

    def accept_keyframe(self, keyframe: Keyframe) -> bool:
        """Take a keyframe for the newest one, unless it is from before the restart."""
        if self.is_before_restart(keyframe.received_ns):
            return False
        self.keyframe = keyframe
        return True
