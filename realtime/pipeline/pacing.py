"""Decides whether optional work fits into the idle time before the next frame, and which frames are too many. Pure."""

from __future__ import annotations

from realtime.tracking.running_mean import running_mean

MAX_DELAY_NS = 500_000_000
"""Optional work is not delayed longer than this."""


class IdleBudget:
    """An estimate of the time between frames and of the duration of optional work. One thread."""

    def __init__(self) -> None:
        self._last_ns: int | None = None
        self._worked_ns = 0
        self._interval_ns, self._cost_ns = 0.0, 0.0  # running means; 0 while unknown

    def record_frame(self, received_ns: int) -> None:
        """Record that the track thread begins a frame that was received at this host time."""
        if self._last_ns is not None and received_ns > self._last_ns:
            self._interval_ns = running_mean(self._interval_ns, received_ns - self._last_ns)
        self._last_ns = received_ns

    def has_time(self, now_ns: int) -> bool:
        """Return whether the work would end before the next frame, or has waited for `MAX_DELAY_NS`."""
        if self._last_ns is None or not self._interval_ns or now_ns - self._worked_ns > MAX_DELAY_NS:
            return True
        return now_ns + self._cost_ns <= self._last_ns + self._interval_ns

    def record_work(self, begun_ns: int, now_ns: int) -> None:
        """Record that the work was done between these host times."""
        self._cost_ns = running_mean(self._cost_ns, now_ns - begun_ns)
        self._worked_ns = now_ns


class FrameLimiter:
    """Admits frames up to a rate, and a few more after a pause: a token bucket. One thread.

    max_fps: frames a second; 0 admits all.
    """

    CREDIT = 2.0
    """Frames that may come at once, so that a stream of the same rate loses none by jitter."""
    TOLERANCE = 1.05
    """Clocks of cameras are not exact."""

    def __init__(self, max_fps: float) -> None:
        self._per_ns = max_fps * self.TOLERANCE / 1e9
        self._credit, self._last_ns = self.CREDIT, 0

    def admit(self, now_ns: int) -> bool:
        """Return whether a frame that arrives now is processed."""
        if not self._per_ns:
            return True
        earned = (now_ns - self._last_ns) * self._per_ns
        self._credit, self._last_ns = min(self.CREDIT, self._credit + earned), now_ns
        if self._credit < 1:
            return False
        self._credit -= 1
        return True
