"""Whether the time until the next frame is enough for what need not be done now. Pure."""

from __future__ import annotations

from realtime.tracking.running_mean import running_mean

MAX_DELAY_NS = 500_000_000
"""What need not be done now is done all the same after so long."""


class IdleBudget:
    """Knows how often frames come, and how long what is done between them takes. One thread."""

    def __init__(self) -> None:
        self._last_ns: int | None = None
        self._used_ns = 0
        self._interval_ns, self._cost_ns = 0.0, 0.0  # running means; 0 while not known

    def record_frame(self, received_ns: int) -> None:
        """A frame was taken up that had come at that time, host."""
        if self._last_ns is not None and received_ns > self._last_ns:
            self._interval_ns = running_mean(self._interval_ns, received_ns - self._last_ns)
        self._last_ns = received_ns

    def has_time(self, now_ns: int) -> bool:
        """Whether it can be done before the next frame comes, or has had to wait for too long."""
        if self._last_ns is None or not self._interval_ns or now_ns - self._used_ns > MAX_DELAY_NS:
            return True
        return now_ns + self._cost_ns <= self._last_ns + self._interval_ns

    def record_work(self, begun_ns: int, now_ns: int) -> None:
        """It was done."""
        self._cost_ns = running_mean(self._cost_ns, now_ns - begun_ns)
        self._used_ns = now_ns
