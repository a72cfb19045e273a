"""Passes packets from the thread that receives a stream to the one that decodes it, without a growing backlog."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")

LATE_NS = 100_000_000
"""When more than this is waiting, decoding goes on at the newest keyframe."""
MAX_LATE_NS = 1_000_000_000
"""When more than this is waiting without a keyframe, all of it is left out and the next keyframe is awaited."""
MAX_PACKETS = 300
MAX_KEYFRAME_WAIT_NS = 10_000_000_000
"""After this, decoding goes on without a keyframe: some encoders refresh the picture piece by piece instead."""


@dataclass(frozen=True, slots=True, eq=False)
class QueuedPacket(Generic[T]):
    """A packet and what decides whether it is decoded."""

    packet: T
    is_keyframe: bool
    received_ns: int


class PacketQueue(Generic[T]):
    """Packets in order of arrival, of which the decoder takes what it needs for the newest frame.

    The packets that are left out because the decoder was too slow are counted. is_paced: every packet is taken.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._packets: deque[QueuedPacket[T]] = deque()
        self._awaiting_since_ns: int | None = None
        self._late = 0
        self.is_paced = False

    def __len__(self) -> int:
        return len(self._packets)

    def put(self, packet: QueuedPacket[T]) -> None:
        """Append a packet without blocking."""
        with self._changed:
            self._packets.append(packet)
            if len(self._packets) > MAX_PACKETS:
                self._leave_out(len(self._packets))
                self._awaiting_since_ns = packet.received_ns
            self._changed.notify_all()

    def wait_below(self, count: int, timeout_s: float) -> bool:
        """Wait until fewer packets than `count` are left; False after the timeout."""
        with self._changed:
            return self._changed.wait_for(lambda: len(self._packets) < count, timeout_s)

    def take(self, timeout_s: float) -> tuple[list[QueuedPacket[T]], bool]:
        """Wait for packets, and remove all, or one if `is_paced`; returns those to decode, and whether to begin anew.

        None of them after the timeout.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._packets, timeout_s)
            is_anew = not self.is_paced and self._skip_late()
            count = min(1, len(self._packets)) if self.is_paced else len(self._packets)
            packets = [self._packets.popleft() for _ in range(count)]
            self._changed.notify_all()
            return packets, is_anew

    def count_late(self) -> int:
        """Return the number of packets that were left out since the last call."""
        with self._changed:
            late, self._late = self._late, 0
            return late

    def _skip_late(self) -> bool:
        if not self._packets:
            return False
        first, last = self._packets[0], self._packets[-1]
        keyframe = max((at for at, packet in enumerate(self._packets) if packet.is_keyframe), default=None)
        if self._awaiting_since_ns is not None:
            is_over = last.received_ns - self._awaiting_since_ns > MAX_KEYFRAME_WAIT_NS
            if keyframe is None and not is_over:
                self._leave_out(len(self._packets))
                return False
            self._awaiting_since_ns = None
            self._leave_out(keyframe or 0)
            return True
        waited_ns = last.received_ns - first.received_ns
        if keyframe and waited_ns > LATE_NS:
            self._leave_out(keyframe)
            return True
        if keyframe is None and waited_ns > MAX_LATE_NS:
            self._leave_out(len(self._packets))
            self._awaiting_since_ns = last.received_ns
        return False

    def _leave_out(self, count: int) -> None:
        self._late += count
        for _ in range(count):
            self._packets.popleft()
