"""Maps the RTP timestamps of a video to times of capture on the sender's wall clock. Pure.

A sender report pairs an RTP timestamp with the sender's clock (RFC 3550, 6.4.1). Frames may carry the time of capture
themselves (RTP header extension abs-capture-time), which also counts what happened before the sender.
"""

from __future__ import annotations

import math

CLOCK_RATE = 90_000
"""RTP ticks a second of all video."""
_UNIX_FROM_NTP_S = 2_208_988_800
_MAX_STAMP_AGE_TICKS = 15 * CLOCK_RATE
"""A time of capture that is older no longer counts: senders repeat it about every second."""


def ntp_to_unix_s(ntp: int) -> float:
    """Convert a 64-bit NTP time to Unix seconds."""
    return (ntp >> 32) - _UNIX_FROM_NTP_S + (ntp & 0xFFFFFFFF) / 2**32


def read_capture_time(value: bytes) -> float | None:
    """Read an abs-capture-time extension, Unix seconds of the sender's clock; None where it is malformed.

    Its second half, where it has one, is the capturing device's clock minus the sender's.
    """
    if len(value) not in (8, 16):
        return None
    seconds = ntp_to_unix_s(int.from_bytes(value[:8], "big"))
    offset_s = int.from_bytes(value[8:], "big", signed=True) / 2**32
    return seconds + offset_s if seconds > 0 and math.isfinite(seconds) else None


class RtpTimeline:
    """Holds the newest pairs of RTP timestamp and sender's time; any thread may read, one writes."""

    def __init__(self) -> None:
        self._report: tuple[int, float] | None = None
        self._stamp: tuple[int, float] | None = None

    def add_report(self, rtp: int, sender_s: float) -> None:
        """Add a sender report."""
        self._report = rtp, sender_s

    def add_stamp(self, rtp: int, sender_s: float) -> None:
        """Add a frame's own time of capture."""
        self._stamp = rtp, sender_s

    def sender_s(self, rtp: int) -> float | None:
        """Return the time of a frame on the sender's clock, Unix seconds; None before the first pair."""
        if self._stamp is not None and abs(ticks := _ticks(rtp, self._stamp[0])) <= _MAX_STAMP_AGE_TICKS:
            return self._stamp[1] + ticks / CLOCK_RATE
        if self._report is not None:
            return self._report[1] + _ticks(rtp, self._report[0]) / CLOCK_RATE
        return None


def _ticks(rtp: int, since: int) -> int:
    """Return the difference of two timestamps of 32 bits, which may have wrapped."""
    return (rtp - since + 2**31) % 2**32 - 2**31
