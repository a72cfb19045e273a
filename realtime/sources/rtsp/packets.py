"""Defines the packets of a media stream, for every way in which they are received."""

from __future__ import annotations

from dataclasses import dataclass

_WRAP = 1 << 32


class StreamError(Exception):
    """The reason why a stream cannot be played, or has ended."""


@dataclass(frozen=True, slots=True)
class RtpPacket:
    """A packet of a stream.

    sequence: counts packets, modulo 65536. rtp_time: ticks of the stream's clock, modulo 2**32. is_last: the marker,
    which ends a video frame. sent_s: capture time by the sender's wall clock, unix seconds; None before its first
    report. received_ns: host monotonic.
    """

    payload: bytes
    sequence: int
    rtp_time: int
    is_last: bool
    sent_s: float | None
    received_ns: int


def tick_difference(time: int, other: int) -> int:
    """Compute the difference of two RTP times, which wrap after 13 hours at 90 kHz."""
    return (time - other + _WRAP // 2) % _WRAP - _WRAP // 2
