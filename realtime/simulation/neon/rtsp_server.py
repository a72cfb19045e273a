"""Serves streams over RTSP (RFC 2326) and sends them as RTP and RTCP over UDP (RFC 3550, RFC 6184)."""

from __future__ import annotations

import asyncio
import base64
import random
import socket
import struct
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

MAX_PAYLOAD_BYTES = 1300
REPORT_S = 1.0
CLOCK_HZ = 90_000
_PAYLOAD_TYPE = 96
_NTP_EPOCH_S = 2_208_988_800
_FRAGMENT = 28


@dataclass(frozen=True, slots=True)
class ServedStream:
    """A stream that clients may play.

    encoding: as in SDP. parameter_sets: of H.264, without start codes; none for data.
    """

    encoding: str
    parameter_sets: Sequence[bytes] = ()

    def describe(self, host: str) -> str:
        """Write its description (SDP, RFC 8866)."""
        kind = "video" if self.parameter_sets else "application"
        sets = ",".join(base64.b64encode(nal).decode() for nal in self.parameter_sets)
        formats = f"a=fmtp:{_PAYLOAD_TYPE} packetization-mode=1;sprop-parameter-sets={sets}\r\n" if sets else ""
        return (
            f"v=0\r\no=- 0 0 IN IP4 {host}\r\ns=gazecast\r\nc=IN IP4 {host}\r\nt=0 0\r\n"
            f"m={kind} 0 RTP/AVP {_PAYLOAD_TYPE}\r\na=rtpmap:{_PAYLOAD_TYPE} {self.encoding}/{CLOCK_HZ}\r\n"
            f"{formats}a=control:trackID=0\r\n"
        )


@dataclass(slots=True)
class SendingFaults:
    """Faults of the way to the client. loss: share of packets that are lost. sends_reports: whether RTCP is sent."""

    loss: float = 0.0
    sends_reports: bool = True
    random: random.Random = field(default_factory=lambda: random.Random(0))  # noqa: S311 - no secret


class RtpSender:
    """Sends one stream to one client."""

    def __init__(self, name: str, host: str, clock_s: Callable[[float], float], faults: SendingFaults) -> None:
        """clock_s: converts seconds of the host's monotonic clock to the device's unix seconds."""
        self.name, self._clock_s, self._faults = name, clock_s, faults
        self._sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2)]
        for udp in self._sockets:
            udp.bind((host, 0))
        self._client: tuple[str, int] | None = None
        self._sequence, self._base = faults.random.getrandbits(16), faults.random.getrandbits(32)
        self._source = faults.random.getrandbits(32)

    @property
    def ports(self) -> tuple[int, int]:
        """The server's own ports, of RTP and RTCP."""
        return self._sockets[0].getsockname()[1], self._sockets[1].getsockname()[1]

    def send_to(self, client: tuple[str, int]) -> None:
        """Set the client's address and port of RTP; that of RTCP is the next one."""
        self._client = client

    def send(self, payload: bytes, at_s: float, is_last: bool = True) -> None:
        """Send a packet of what was captured at `at_s` (host monotonic)."""
        self._sequence = (self._sequence + 1) & 0xFFFF
        if self._client is None or self._faults.random.random() < self._faults.loss:
            return
        kind = _PAYLOAD_TYPE | is_last << 7
        head = struct.pack("!BBHII", 0x80, kind, self._sequence, self._ticks(at_s), self._source)
        with suppress(OSError):  # the client has left, or the socket was closed meanwhile
            self._sockets[0].sendto(head + payload, self._client)

    def send_report(self, at_s: float) -> None:
        """Send a sender report: the device's wall clock and the stream's time at one instant."""
        if self._client is None or not self._faults.sends_reports:
            return
        ntp = round((self._clock_s(at_s) + _NTP_EPOCH_S) * 2**32)
        report = struct.pack("!BBHIQIII", 0x80, 200, 6, self._source, ntp, self._ticks(at_s), 0, 0)
        with suppress(OSError):
            self._sockets[1].sendto(report, (self._client[0], self._client[1] + 1))

    def close(self) -> None:
        """Free the ports."""
        for udp in self._sockets:
            udp.close()

    def _ticks(self, at_s: float) -> int:
        return (self._base + round(at_s * CLOCK_HZ)) & 0xFFFFFFFF


def packetize_nals(nals: Sequence[bytes]) -> list[bytes]:
    """Cut a frame into payloads: a unit each, or fragments of long ones (FU-A)."""
    payloads = []
    for nal in nals:
        if len(nal) <= MAX_PAYLOAD_BYTES:
            payloads.append(nal)
            continue
        head, body = nal[0], nal[1:]
        parts = [body[at : at + MAX_PAYLOAD_BYTES] for at in range(0, len(body), MAX_PAYLOAD_BYTES)]
        for number, part in enumerate(parts):
            edges = (number == 0) << 7 | (number == len(parts) - 1) << 6
            payloads.append(bytes([head & 0xE0 | _FRAGMENT, edges | head & 31]) + part)
    return payloads


@dataclass(slots=True)
class _RtspClient:
    """A connection: the addresses of both sides, and what was set up for it."""

    server_host: str
    host: str
    sender: RtpSender | None = None
    reports: asyncio.Task[None] | None = None


class RtspServer:
    """Answers clients and keeps the senders that play; these are used by another thread."""

    def __init__(
        self, streams: dict[str, ServedStream], clock_s: Callable[[float], float], now_s: Callable[[], float],
        faults: SendingFaults,
    ) -> None:  # fmt: skip
        """streams: by the name that a URL contains."""
        self._streams, self._clock_s, self._now_s, self._faults = streams, clock_s, now_s, faults
        self._lock = threading.Lock()
        self._playing: list[RtpSender] = []

    def playing(self, name: str) -> list[RtpSender]:
        """Return the senders of a stream; any thread."""
        with self._lock:
            return [sender for sender in self._playing if sender.name == name]

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one client until it leaves."""
        client = _RtspClient(writer.get_extra_info("sockname")[0], writer.get_extra_info("peername")[0])
        try:
            while True:
                method, url, headers = await read_request(reader)
                status, extra, body = self._respond(client, method, url, headers)
                writer.write(format_response(status, headers, extra, body))
                await writer.drain()
                if method == "TEARDOWN":
                    return
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError, OSError):
            pass
        finally:
            self._end(client)
            writer.close()

    def _respond(
        self, client: _RtspClient, method: str, url: str, headers: dict[str, str]
    ) -> tuple[str, dict[str, str], str]:
        """Handle a request; returns status, headers and body."""
        name = next((name for name in self._streams if name in url), "")
        extra = {"Session": "1;timeout=60"}
        if method == "OPTIONS":
            return "200 OK", {"Public": "OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN, GET_PARAMETER"}, ""
        if not name:
            return "404 Not Found", {}, ""
        if method == "DESCRIBE":
            described = {"Content-Type": "application/sdp", "Content-Base": f"{url.rstrip('/')}/"}
            return "200 OK", described, self._streams[name].describe(client.server_host)
        if method == "SETUP" and client.sender is None:
            if "client_port=" not in headers.get("transport", ""):
                return "461 Unsupported Transport", {}, ""
            client.sender = sender = RtpSender(name, client.server_host, self._clock_s, self._faults)
            port = int(headers["transport"].partition("client_port=")[2].partition("-")[0])
            sender.send_to((client.host, port))
            ports = "-".join(map(str, sender.ports))
            extra["Transport"] = f"RTP/AVP;unicast;client_port={port}-{port + 1};server_port={ports}"
        elif method == "PLAY" and client.sender is not None and client.reports is None:
            client.reports = asyncio.ensure_future(self._report(client.sender))
            with self._lock:
                self._playing.append(client.sender)
        return "200 OK", extra, ""

    def _end(self, client: _RtspClient) -> None:
        if client.reports is not None:
            client.reports.cancel()
        if client.sender is not None:
            with self._lock:
                self._playing = [other for other in self._playing if other is not client.sender]
            client.sender.close()

    async def _report(self, sender: RtpSender) -> None:
        while True:
            sender.send_report(self._now_s())
            await asyncio.sleep(REPORT_S)


def format_response(status: str, headers: dict[str, str], extra: dict[str, str], body: str) -> bytes:
    """Format the response to a request. headers: the request's. extra: the response's own headers."""
    extra |= {"CSeq": headers.get("cseq", "0")} | ({"Content-Length": str(len(body))} if body else {})
    lines = "".join(f"{key}: {value}\r\n" for key, value in extra.items())
    return f"RTSP/1.0 {status}\r\n{lines}\r\n{body}".encode()


async def read_request(reader: asyncio.StreamReader) -> tuple[str, str, dict[str, str]]:
    """Read (method, URL, headers in lower case); raises `ValueError` for what is no request."""
    lines = (await reader.readuntil(b"\r\n\r\n")).decode("ascii", "replace").split("\r\n")
    method, url, _ = lines[0].split()
    headers = {key.strip().lower(): value.strip() for key, _, value in (line.partition(":") for line in lines[1:])}
    if length := int(headers.get("content-length", "0")):
        await reader.readexactly(length)
    return method, url, headers
