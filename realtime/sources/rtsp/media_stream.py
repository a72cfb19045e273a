"""Plays one stream of an RTSP server over UDP and timestamps its packets by RTCP sender reports (RFC 3550).

On the RTSP library inside Pupil Labs' client. Packets are handed on as they arrive, on the event loop's thread.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import logging
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

from aiortsp.rtcp.parser import SR
from aiortsp.rtsp.connection import RTSPConnection
from aiortsp.rtsp.errors import RTSPError, RTSPResponseError
from aiortsp.rtsp.session import RTSPMediaSession
from aiortsp.transport import RTPTransportClient
from aiortsp.transport.udp import UDPTransport

from realtime.infra.clock import now_ns
from realtime.sources.rtsp.packets import RtpPacket, StreamError, tick_difference
from realtime.sources.rtsp.port_pair import open_port_pair

CONNECT_S, TEARDOWN_S, CHECK_S = 3.0, 0.3, 0.1
REPORT_JUMP_S = 0.2
"""A larger change between two sender reports means that the sender's clock was set."""
_SILENT = logging.getLogger("gazecast.rtsp")
_SILENT.addHandler(logging.NullHandler())
_SILENT.propagate = False


class MediaStream(RTPTransportClient):
    """Plays the first stream that a URL describes; `play` returns only by an error or by being cancelled.

    encoding, parameter_sets: of the stream's description, known with the first packet; the latter are H.264's, without
    start codes. clock_jumps: how often the sender's wall clock was set.
    """

    def __init__(self, url: str, on_packet: Callable[[RtpPacket], None], *, silence_s: float = 2.0) -> None:
        """silence_s: a connected stream has ended after so long without a packet."""
        self._url, self._on_packet, self._silence_ns = url, on_packet, round(silence_s * 1e9)
        self.encoding = ""
        self.parameter_sets: tuple[bytes, ...] = ()
        self.clock_jumps = 0
        self._clock_hz, self._payload_type = 90_000, -1
        self._report: tuple[float, int] | None = None  # unix seconds and RTP time of one instant
        self._packet_ns = 0
        self._failure: Exception | None = None

    async def play(self) -> None:
        """Connect and play; raises `StreamError` when the server refuses, leaves or falls silent."""
        address = urlsplit(self._url)
        try:
            async with (
                _Connection(address.hostname, address.port or 554, logger=_SILENT, timeout=CONNECT_S) as connection,
                _Transport(connection, logger=_SILENT, timeout=0) as transport,
                _Session(connection, self._url, transport=transport, logger=_SILENT) as session,
            ):
                self._read_description(session.sdp)
                transport.subscribe(self)
                await session.play()
                await self._supervise(connection, transport, session)
        except RTSPResponseError as error:
            raise StreamError(f"it answers {getattr(error.response, 'status', '?')} to an RTSP request") from None
        except StreamError:
            raise
        except Exception as error:  # the library parses without checks
            _SILENT.debug("%r", error)
            raise StreamError("it cannot be played over RTSP") from None
        if self._failure is not None:
            raise self._failure

    async def _supervise(self, connection: Any, transport: Any, session: Any) -> None:
        """Keep the session alive until it ends or a packet cannot be handled."""
        self._packet_ns = alive_ns = now_ns()
        while connection.running and transport.running and self._failure is None:
            await asyncio.sleep(CHECK_S)
            if now_ns() - self._packet_ns > self._silence_ns:
                raise StreamError("it is silent")
            if now_ns() - alive_ns > session.session_keepalive * 1e9:
                await session.keep_alive()
                alive_ns = now_ns()
        if self._failure is None:
            raise StreamError("it has ended")

    def _read_description(self, description: Any) -> None:
        medias = description.get("medias") or [{}]
        media = next((one for one in medias if one.get("type") == "video"), medias[0]).get("attributes") or {}
        mapped = media.get("rtpmap") or {}
        self.encoding = str(mapped.get("encoding", "")).lower()
        self._clock_hz, self._payload_type = mapped.get("clockRate") or 90_000, mapped.get("pt", -1)
        with suppress(binascii.Error, ValueError):
            sets = (media.get("fmtp") or {}).get("sprop-parameter-sets", "")
            self.parameter_sets = tuple(base64.b64decode(text) for text in sets.split(",") if text)

    def handle_rtp(self, rtp: Any) -> None:
        """Hand on a packet; its error ends the stream."""
        received_ns = now_ns()
        if self._payload_type not in (-1, rtp.pt) or self._failure is not None:
            return
        self._packet_ns = received_ns
        sent_s = None
        if self._report is not None:
            sent_s = self._report[0] + tick_difference(rtp.ts, self._report[1]) / self._clock_hz
        packet = RtpPacket(_read_payload(rtp), rtp.seq, rtp.ts, bool(rtp.m), sent_s, received_ns)
        try:
            self._on_packet(packet)
        except Exception as error:  # the library would only log it
            self._failure = error

    def handle_rtcp(self, rtcp: Any) -> None:
        """Remember the newest sender report."""
        for report in rtcp.packets:
            if isinstance(report, SR):
                before, self._report = self._report, (report.ntp, report.ts)
                if before is not None:
                    elapsed_s = tick_difference(report.ts, before[1]) / self._clock_hz
                    self.clock_jumps += abs(report.ntp - before[0] - elapsed_s) > REPORT_JUMP_S


def _read_payload(rtp: Any) -> bytes:
    """Return a packet's payload without header extension and padding."""
    data = bytes(rtp.data)
    if rtp.x and len(data) >= 4:
        data = data[4 + 4 * int.from_bytes(data[2:4], "big") :]
    return data[: -data[-1]] if rtp.p and data and 0 < data[-1] <= len(data) else data


class _Connection(RTSPConnection):
    """A connection that prints nothing about a peer that does not speak RTSP."""

    def data_received(self, data: bytes) -> None:
        try:
            for message in self.parser.parse(data):
                request = self.active_requests.get(message.cseq) if message.type == "response" else None
                if request is not None and not request.done():
                    request.set_result(message)
        except Exception:  # the library's parser raises anything
            if self._transport:
                self._transport.close()


class _Session(RTSPMediaSession):
    """A session that does not wait long for the answer to its end."""

    async def teardown(self) -> None:
        with suppress(RTSPError, OSError, asyncio.TimeoutError):
            await asyncio.wait_for(super().teardown(), TEARDOWN_S)


class _Transport(UDPTransport):
    """A pair of UDP sockets on neighbouring ports, and a guard against data that are no RTP."""

    @classmethod
    def get_socket_pair(cls, bind_address: str | None = None, retry: int = 0) -> tuple[socket.socket, socket.socket]:
        return open_port_pair(bind_address or "0.0.0.0")  # noqa: S104 - the sender's address is not known yet

    def handle_rtp_data(self, data: bytes) -> None:
        with suppress(Exception):  # the library parses without checks
            super().handle_rtp_data(data)

    def handle_rtcp_data(self, data: bytes) -> None:
        with suppress(Exception):
            super().handle_rtcp_data(data)
