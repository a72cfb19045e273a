"""Plays several streams of one RTSP session (RFC 2326), with blocking sockets.

The packets of all streams come through the session's own connection, in the order in which they were sent, which
firewalls and wireless networks let pass; over UDP from a server that refuses this. Their sender reports (RFC 3550) put
them on one clock.
"""

from __future__ import annotations

import base64
import binascii
import re
import selectors
import socket
import struct
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import cast

from realtime.infra.clock import now_ns
from realtime.sources.rtsp.packets import RtpPacket, StreamError, tick_difference
from realtime.sources.rtsp.port_pair import open_port_pair

CONNECT_S, ANSWER_S, TICK_S = 3.0, 3.0, 0.1
REPORT_JUMP_S = 0.2
"""A larger change between two sender reports means that the sender's clock was set."""
MAX_HEAD_BYTES = 65_536
_MAX_DATAGRAMS = 256
_NTP_EPOCH_S = 2_208_988_800
_SENDER_REPORT = 200


@dataclass(slots=True)
class SessionStream:
    """A stream of a session, as its description (SDP, RFC 8866) has it.

    number: among the streams of its kind. parameter_sets: of H.264, without start codes. report: unix seconds and RTP
    time of one instant. clock_jumps: how often the sender's clock was set.
    """

    kind: str
    number: int
    control: str = ""
    encoding: str = ""
    clock_hz: int = 90_000
    parameter_sets: tuple[bytes, ...] = ()
    report: tuple[float, int] | None = field(default=None, repr=False)
    clock_jumps: int = 0

    def sent_s(self, rtp_time: int) -> float | None:
        """Return unix seconds on the sender's clock; None before its first report."""
        if self.report is None:
            return None
        return self.report[0] + tick_difference(rtp_time, self.report[1]) / self.clock_hz


class TransportRefused(StreamError):
    """A server that refuses the way in which packets are asked for."""


class RtspSession:
    """A connection to an RTSP server: `play`, then `packets` until `StreamError`, then `close`.

    is_udp: whether packets come over UDP.
    """

    def __init__(
        self, host: str, port: int, path: str, is_stopped: Callable[[], bool], *, is_udp: bool = False
    ) -> None:
        """Connect. is_stopped: ends every wait. Raises `OSError`."""
        shown = f"[{host}]" if ":" in host else host
        self._url, self._is_stopped, self.is_udp = f"rtsp://{shown}:{port}{path}", is_stopped, is_udp
        self._socket = socket.create_connection((host, port), CONNECT_S)
        self._socket.settimeout(ANSWER_S)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._socket, selectors.EVENT_READ)
        self._udp: dict[socket.socket, int] = {}
        self._data, self._datagrams = bytearray(), deque[tuple[int, bytes]]()
        self._number = 0
        self._session, self._keep_alive_ns = "", 30_000_000_000
        self._channels: dict[int, SessionStream] = {}

    def close(self) -> None:
        """End the session and the connection."""
        with suppress(OSError):
            if self._session:
                self._send("TEARDOWN", self._url, {})
        self._selector.close()
        for each in (self._socket, *self._udp):
            each.close()

    def play(self, select: Callable[[Sequence[SessionStream]], Sequence[SessionStream]]) -> None:
        """Play the selected ones of the streams that the server describes.

        Raises `StreamError` or `OSError`; `TransportRefused` where UDP, or the other way, should be tried instead.
        """
        headers, body = self._request("DESCRIBE", self._url, {"Accept": "application/sdp"})
        base = headers.get("content-base", self._url).rstrip("/") + "/"
        for number, stream in enumerate(select(parse_description(body))):
            url = stream.control if stream.control.startswith("rtsp://") else base + stream.control
            try:
                self._set_up(url, 2 * number, stream)
            except (StreamError, OSError) as error:
                if self.is_udp or number:
                    raise TransportRefused(str(error)) from None
                self.is_udp = True
                try:
                    self._set_up(url, 2 * number, stream)
                except (StreamError, OSError):  # it may have ended the connection
                    raise TransportRefused(str(error)) from None
        self._request("PLAY", base, {"Range": "npt=now-"})

    def _set_up(self, url: str, channel: int, stream: SessionStream) -> None:
        """Ask for a stream on two channels, of packets and of reports."""
        if self.is_udp:
            host = self._socket.getsockname()[0]
            pair = open_port_pair(host, self._socket.family)
            port = pair[0].getsockname()[1]
            transport = f"RTP/AVP;unicast;client_port={port}-{port + 1}"
            for offset, udp in enumerate(pair):
                udp.setblocking(False)
                self._udp[udp] = channel + offset
                self._selector.register(udp, selectors.EVENT_READ)
        else:
            transport = f"RTP/AVP/TCP;unicast;interleaved={channel}-{channel + 1}"
        headers, _ = self._request("SETUP", url, {"Transport": transport})
        answered = headers.get("transport", "")
        if not self.is_udp and answered and "TCP" not in answered.upper():
            raise StreamError("it does not send through the connection")
        chosen = re.search(r"interleaved=(\d{1,3})", answered)
        self._channels[int(chosen[1]) if chosen else channel] = stream
        self._session, _, options = headers.get("session", "").partition(";")
        if limit := re.search(r"timeout=(\d{1,9})", options):
            self._keep_alive_ns = max(1, int(limit[1]) // 2) * 1_000_000_000

    def packets(self) -> Iterator[tuple[SessionStream, RtpPacket] | None]:
        """Yield packets as they arrive, and None while there are none; raises `StreamError` or `OSError` at the end."""
        asked_ns = now_ns()
        while not self._is_stopped():
            if now_ns() - asked_ns > self._keep_alive_ns:
                asked_ns = now_ns()
                self._send("OPTIONS", self._url, {})
            message = self._read_message()
            if message is None:
                yield None
            elif isinstance(message, tuple) and (found := self._read_packet(*message)) is not None:
                yield found

    def _read_packet(self, channel: int, data: bytes) -> tuple[SessionStream, RtpPacket] | None:
        """Read RTP; None for a report, which is kept, and for what is no RTP."""
        stream = self._channels.get(channel & ~1)
        if stream is None or len(data) < 12 or data[0] >> 6 != 2:
            return None
        if channel & 1:
            _keep_report(stream, data)
            return None
        first, kind, sequence, ticks = struct.unpack_from("!BBHI", data)
        start = 12 + 4 * (first & 15)
        if first & 0x10 and len(data) >= start + 4:
            start += 4 + 4 * int.from_bytes(data[start + 2 : start + 4], "big")
        end = len(data) - (data[-1] if first & 0x20 else 0)
        if end < start:
            return None
        sent_s = stream.sent_s(ticks)
        return stream, RtpPacket(data[start:end], sequence, ticks, bool(kind & 0x80), sent_s, now_ns())

    def _request(self, method: str, url: str, headers: dict[str, str]) -> tuple[dict[str, str], str]:
        """Send a request and return headers and body of its answer."""
        self._send(method, url, headers)
        until_ns = now_ns() + round(ANSWER_S * 1e9)
        while now_ns() < until_ns and not self._is_stopped():
            message = self._read_message()
            if message is None or isinstance(message, tuple):
                continue
            head, _, body = message.partition("\r\n\r\n")
            status, *lines = head.split("\r\n")
            found = {name.strip().lower(): text.strip() for name, _, text in (line.partition(":") for line in lines)}
            if not status.startswith("RTSP/"):
                break
            if found.get("cseq") not in (None, str(self._number)):
                continue
            if not re.match(r"RTSP/1\.\d 200\b", status):
                raise StreamError(f"it answers {status[9:40]!r} to the RTSP request {method}")
            return found, body
        raise StreamError("it does not answer as an RTSP server does")

    def _send(self, method: str, url: str, headers: dict[str, str]) -> None:
        self._number += 1
        lines = {"CSeq": str(self._number), **({"Session": self._session} if self._session else {}), **headers}
        text = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        self._socket.sendall(f"{method} {url} RTSP/1.0\r\n{text}\r\n".encode())

    def _read_message(self) -> tuple[int, bytes] | str | None:
        """Return a packet with its channel, or the text of an answer; None after a short wait without one."""
        while True:
            if self._datagrams:
                return self._datagrams.popleft()
            if (message := self._cut_message()) is not None:
                return message
            ready = self._selector.select(TICK_S)
            if not ready:
                return None
            for key, _ in ready:
                if key.fileobj is self._socket:
                    self._receive()
                else:
                    self._receive_datagrams(cast(socket.socket, key.fileobj))

    def _receive(self) -> None:
        data = self._socket.recv(1 << 18)
        if not data:
            raise StreamError("it has ended the connection")
        self._data += data

    def _receive_datagrams(self, udp: socket.socket) -> None:
        """Take the waiting datagrams of the server, not those of others."""
        server = self._socket.getpeername()[0]
        with suppress(BlockingIOError):
            for _ in range(_MAX_DATAGRAMS):
                data, address = udp.recvfrom(65_536)
                if address[0] == server:
                    self._datagrams.append((self._udp[udp], data))

    def _cut_message(self) -> tuple[int, bytes] | str | None:
        """Cut the next whole message from what was received."""
        data = self._data
        if not data:
            return None
        if data[0] == 0x24:
            end = 4 + int.from_bytes(data[2:4], "big") if len(data) >= 4 else len(data) + 1
            if len(data) < end:
                return None
            channel, payload = data[1], bytes(data[4:end])
            del data[:end]
            return channel, payload
        head_end = data.find(b"\r\n\r\n")
        if head_end < 0:
            if len(data) > MAX_HEAD_BYTES or not data.startswith(b"RTSP/"[: len(data)]):
                raise StreamError("it does not answer as an RTSP server does")
            return None
        length = re.search(rb"\r\ncontent-length:\s*(\d{1,9})", data[:head_end].lower())
        end = head_end + 4 + (int(length[1]) if length else 0)
        if end - head_end > MAX_HEAD_BYTES:
            raise StreamError("it does not answer as an RTSP server does")
        if len(data) < end:
            return None
        text = bytes(data[:end]).decode("utf-8", "replace")
        del data[:end]
        return text


def parse_description(text: str) -> list[SessionStream]:
    """Read the streams of a session description."""
    streams: list[SessionStream] = []
    for line in text.splitlines():
        if line.startswith("m="):
            kind = line[2:].split(" ")[0]
            streams.append(SessionStream(kind, sum(stream.kind == kind for stream in streams)))
        elif not streams:
            continue
        elif line.startswith("a=control:"):
            streams[-1].control = line.removeprefix("a=control:").strip()
        elif found := re.match(r"a=rtpmap:\d+ ([^/\s]+)/(\d{1,9})", line):
            streams[-1].encoding, streams[-1].clock_hz = found[1].lower(), max(1, int(found[2]))
        elif found := re.search(r"sprop-parameter-sets=([^;\s]+)", line):
            with suppress(binascii.Error, ValueError):
                streams[-1].parameter_sets = tuple(base64.b64decode(part) for part in found[1].split(",") if part)
    return streams


def _keep_report(stream: SessionStream, data: bytes) -> None:
    """Keep the sender report of a compound RTCP packet."""
    while len(data) >= 4:
        length = 4 + 4 * int.from_bytes(data[2:4], "big")
        if data[1] == _SENDER_REPORT and len(data) >= 20:
            ntp, ticks = struct.unpack_from("!QI", data, 8)
            at_s, expected_s = ntp / 2**32 - _NTP_EPOCH_S, stream.sent_s(ticks)
            stream.clock_jumps += expected_s is not None and abs(at_s - expected_s) > REPORT_JUMP_S
            stream.report = at_s, ticks
        data = data[length:]
