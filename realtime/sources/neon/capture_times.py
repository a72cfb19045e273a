"""Maps the capture times of one stream to the host's clock, also while the device's clock is set. Pure.

A device that sets its clock changes its answers to Time Echo and the times of each stream at different moments, since
a stream's times follow its next sender report. Meanwhile the delay that the stream had before tells its capture times.
"""

from __future__ import annotations

from realtime.infra.clock import ClockMap

MAX_DELAY_CHANGE_NS = 200_000_000
"""A smaller change of a stream's delay is one of the network."""
FUTURE_NS = 50_000_000
"""Data that were captured later than they arrived have times of another clock."""
SETTLE_NS = 15_000_000_000
"""Sender reports come within this time after a clock was set."""
FOREIGN_NS = 10_000_000_000
_SMOOTHING = 1 / 16


class CaptureTimes:
    """Maps times of one stream, in their order. clock: filled with probes by another thread.

    is_foreign: its times are of another clock than the device's, so that those of arrival are used.
    """

    def __init__(self, clock: ClockMap) -> None:
        self._clock = clock
        self._resets = clock.resets
        self._changed_ns: int | None = None
        self._usual_ns: float | None = None
        self._foreign_since_ns: int | None = None
        self.is_foreign = False

    def note_clock_change(self, at_ns: int) -> None:
        """Note that the stream's clock was set, as its sender reports show."""
        self._changed_ns = at_ns

    def _check_foreign(self, delay_ns: int, received_ns: int) -> bool:
        """Note whether the stream has had times of another clock than its device's for a while."""
        if abs(delay_ns) < FOREIGN_NS:
            self._foreign_since_ns, self.is_foreign = None, False
        else:
            self._foreign_since_ns = self._foreign_since_ns or received_ns
            self.is_foreign = received_ns - self._foreign_since_ns > SETTLE_NS
        return self.is_foreign

    def to_host_ns(self, sent_s: float, received_ns: int) -> int:
        """Return the capture time on the host; that of arrival before the first probe."""
        mapped_ns = self._clock.host_ns(sent_s)
        if mapped_ns is None:
            return received_ns
        if self._clock.resets != self._resets:
            self._resets = self._clock.resets
            self._changed_ns = received_ns
        delay_ns = received_ns - mapped_ns
        if self._check_foreign(delay_ns, received_ns):
            return received_ns
        if self._usual_ns is not None and abs(delay_ns - self._usual_ns) > MAX_DELAY_CHANGE_NS:
            is_recent = self._changed_ns is not None and received_ns - self._changed_ns < SETTLE_NS
            if is_recent or delay_ns < -FUTURE_NS:
                return received_ns - max(0, round(self._usual_ns))
            self._usual_ns = None
        usual_ns = delay_ns if self._usual_ns is None else self._usual_ns
        self._usual_ns = usual_ns + _SMOOTHING * (delay_ns - usual_ns)
        return min(mapped_ns, received_ns)
