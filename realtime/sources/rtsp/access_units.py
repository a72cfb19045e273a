"""Assembles RTP packets of H.264 (RFC 6184) into access units, each of which is one video frame. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from realtime.sources.rtsp.packets import RtpPacket

START_CODE = b"\0\0\0\1"
MAX_UNIT_BYTES = 8_000_000
_SLICES, _IDR, _AGGREGATE, _FRAGMENT = range(1, 6), 5, 24, 28
_MAX_GAP = 1 << 15


@dataclass(frozen=True, slots=True)
class AccessUnit:
    """One encoded frame with start codes.

    is_key: decodable without earlier frames. is_damaged: packets of it were lost. sent_s, received_ns: as in
    `RtpPacket`, of its first and its last packet. lost_share: how much of it is missing, about.
    """

    data: bytes
    is_key: bool
    is_damaged: bool
    sent_s: float | None
    received_ns: int
    lost_share: float = 0.0


class AccessUnitAssembler:
    """Collects the packets of a frame until its marker, or until a packet of the next frame where markers mislead.

    lost: number of packets that did not arrive. late: packets after a newer one, which are not used.
    """

    def __init__(self) -> None:
        self.lost = self.late = 0
        self._sequence: int | None = None
        self._has_markers = True  # a marker ends a frame, as RFC 6184 has it
        self._ended_time: int | None = None
        self._begin(None)

    def _begin(self, packet: RtpPacket | None) -> None:
        self._first = self._newest = packet
        self._data = bytearray()
        self._missing_bytes = 0
        self._is_key = self._has_slice = self._is_damaged = self._is_cut = False

    def add(self, packet: RtpPacket) -> list[AccessUnit]:
        """Add a packet; returns the frames that it completes."""
        gap = 0 if self._sequence is None else (packet.sequence - self._sequence - 1) % 65536
        if gap >= _MAX_GAP:
            self.late += 1
            return []
        self._sequence = packet.sequence
        self.lost += gap
        self._is_damaged |= gap > 0 and self._first is not None
        self._is_cut |= gap > 0
        units: list[AccessUnit] = []
        if self._first is None or packet.rtp_time != self._first.rtp_time:
            units += self._end()
            is_rest = packet.rtp_time == self._ended_time
            self._has_markers &= not is_rest  # the marker ended a slice, not the frame
            self._begin(packet)
            self._is_damaged = self._is_cut = gap > 0
            self._is_damaged |= is_rest
        self._missing_bytes += gap * len(packet.payload)
        self._newest = packet
        self._add_payload(packet.payload)
        if packet.is_last and self._has_markers and self._has_slice:
            units += self._end()
        return units

    def _end(self) -> list[AccessUnit]:
        if self._first is None or self._newest is None:
            return []
        lost_share = self._missing_bytes / max(1, self._missing_bytes + len(self._data))
        unit = AccessUnit(
            bytes(self._data), self._is_key, self._is_damaged, self._first.sent_s, self._newest.received_ns, lost_share
        )
        self._ended_time = self._first.rtp_time
        has_frame = self._has_slice or self._is_damaged
        self._begin(None)
        return [unit] if has_frame else []

    def _add_payload(self, payload: bytes) -> None:
        kind = payload[0] & 31 if payload else 0
        if kind == _FRAGMENT and len(payload) > 2:
            self._add_fragment(payload)
        elif kind == _AGGREGATE:
            at = 1
            while at + 2 < len(payload):
                end = at + 2 + int.from_bytes(payload[at : at + 2], "big")
                self._add_nal(payload[at + 2 : end])
                at = end
        elif 0 < kind < _AGGREGATE:
            self._add_nal(payload)
        else:
            self._is_damaged = True

    def _add_fragment(self, payload: bytes) -> None:
        """Add a fragment; what follows a lost one would be decoded as garbage, and is left out."""
        self._is_key |= payload[1] & 31 == _IDR
        if payload[1] & 0x80:
            self._add_nal(bytes([payload[0] & 0xE0 | payload[1] & 31]) + payload[2:])
        elif self._is_cut or not self._data:
            self._is_damaged = True
            self._missing_bytes += len(payload)
        elif len(self._data) < MAX_UNIT_BYTES:
            self._data += payload[2:]

    def _add_nal(self, nal: bytes) -> None:
        kind = nal[0] & 31 if nal else 0
        self._is_cut = False
        self._has_slice |= kind in _SLICES
        self._is_key |= kind == _IDR
        if len(self._data) < MAX_UNIT_BYTES:
            self._data += START_CODE + nal
