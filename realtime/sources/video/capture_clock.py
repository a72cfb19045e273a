"""Maps the times in a network stream to capture times on the host's clock.

The time that a sender writes beside its frames (RTCP sender reports, RFC 3550) is on the sender's wall clock. Where
that agrees with this host's, it is the capture time. A frame never arrives before it was captured, so the smallest
difference between arrival and sender's time is the difference of the clocks plus the smallest delay; a negative or
implausibly long delay shows a wrong clock, and the smallest delay is then taken for none.
"""

from __future__ import annotations

from collections import deque

from realtime.infra.clock import wall_ns
from realtime.types import ClockStatus

MAX_DELAY_NS = 2_000_000_000
"""A smallest delay beyond this, from capture to arrival, is an error of the sender's clock."""
MAX_STALL_NS = 60_000_000_000
"""The same once the clock was right: networks stall more often than clocks are set."""
_WINDOW_NS = 10_000_000_000
"""Long enough to hold a frame that came without waiting; clocks drift apart by less than 1 ms in that time."""
_READINGS = 3
"""A reading of the wall clock that was interrupted is too small."""
_JUMP_NS = 10_000_000_000


class SmallestDelay:
    """The smallest difference between arrival and a remote time, in a sliding window."""

    def __init__(self) -> None:
        self._rising: deque[tuple[int, int]] = deque()
        self.jumps = 0

    def add(self, remote_ns: int, received_ns: int) -> int:
        """Add a message, and return the smallest difference: what added to a remote time makes a host time.

        A difference that is larger by 10 s means that the remote clock was set back.
        """
        difference = received_ns - remote_ns
        if self._rising and difference - self._rising[0][1] > _JUMP_NS:
            self._rising.clear()
            self.jumps += 1
        while self._rising and self._rising[0][0] < received_ns - _WINDOW_NS:
            self._rising.popleft()
        while self._rising and self._rising[-1][1] >= difference:
            self._rising.pop()
        self._rising.append((received_ns, difference))
        return self._rising[0][1]


class CaptureClock:
    """Estimates when frames were captured, from the best time that came with them; one thread uses it.

    That is the sender's wall clock, else the frame's presentation time with the smallest delay taken for none, else
    the arrival. No capture lies after the arrival.
    """

    def __init__(self) -> None:
        self._sender, self._presentation = SmallestDelay(), SmallestDelay()
        self._delay_ns, self._limit_ns = 0, MAX_DELAY_NS
        self._last_ns: int | None = None
        self.is_trusted = True

    def capture_ns(self, received_ns: int, sender_ns: int | None, presented_ns: int | None, held_ns: int = 0) -> int:
        """Map a frame that arrived at `received_ns`.

        sender_ns: ns since 1970 on the sender's clock. presented_ns: on any clock that runs at the right speed.
        held_ns: how long the whole frame was held back after its arrival.
        """
        if sender_ns is not None:
            difference = self._sender.add(sender_ns, received_ns)
            to_host = -max(wall_ns() for _ in range(_READINGS))
            self._delay_ns, self._last_ns = difference - to_host, received_ns
            self.is_trusted = 0 <= self._delay_ns <= self._limit_ns
            if self.is_trusted:
                self._limit_ns = MAX_STALL_NS
            return min(received_ns, sender_ns + (to_host if self.is_trusted else difference - held_ns))
        if presented_ns is not None:
            return presented_ns + self._presentation.add(presented_ns, received_ns) - held_ns
        return received_ns

    def status(self, at_ns: int) -> ClockStatus | None:
        """Return the difference of the clocks; None before the sender told its time."""
        if self._last_ns is None:
            return None
        offset_s = 0.0 if self.is_trusted else -self._delay_ns / 1e9
        return ClockStatus(offset_s, abs(self._delay_ns), at_ns - self._last_ns, self._sender.jumps)
