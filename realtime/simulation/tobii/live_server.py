"""Serves the live session of Tobii Pro Glasses 3: several streams over one RTSP connection (RFC 2326)."""

from __future__ import annotations

import asyncio
import base64
import random
import re
import socket
import struct
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress

from realtime.simulation.neon.rtsp_server import format_response, read_request
from realtime.sources.rtsp.port_pair import open_port_pair

STREAMS = (("video", "H264"), ("video", "H264"), *(("application", "JSON"),) * 4)
"""Kind and encoding of the streams: scene, eyes; gaze, sync port, movements, events."""
SCENE, GAZE, MOVEMENTS = 0, 2, 4
CLOCK_HZ, REPORT_S, MAX_BUFFERED_BYTES = 90_000, 1.0, 8_000_000
_PAYLOAD_TYPE = 96
_NTP_EPOCH_S = 2_208_988_800


class LiveClient:
    """A client of the session, and the streams that it has set up; data are sent from any thread."""

    def __init__(self, writer: asyncio.StreamWriter, clock_s: Callable[[float], float]) -> None:
        """clock_s: converts seconds of the host's monotonic clock to unix seconds of the glasses."""
        self._writer, self._clock_s = writer, clock_s
        self._loop = asyncio.get_running_loop()
        self._random = random.Random(0)  # noqa: S311 - no secret
        self.channels: dict[int, int] = {}
        self._ports: dict[int, tuple[socket.socket, tuple[str, int]]] = {}  # of channels over UDP
        self._bases = [self._random.getrandbits(32) for _ in STREAMS]
        self._sequences = [self._random.getrandbits(16) for _ in STREAMS]

    def use_ports(self, channel: int, port: int) -> str:
        """Send two channels to a port and the next one over UDP; returns the server's own ports."""
        host = self._writer.get_extra_info("sockname")[0]
        client = self._writer.get_extra_info("peername")[0]
        own = open_port_pair(host)
        self._ports |= {channel + number: (udp, (client, port + number)) for number, udp in enumerate(own)}
        return "-".join(str(udp.getsockname()[1]) for udp in own)

    def close(self) -> None:
        """Free the ports."""
        for udp, _ in self._ports.values():
            udp.close()

    def send(self, stream: int, payloads: Sequence[bytes], at_s: float) -> None:
        """Send what was captured at `at_s` (host monotonic), a packet each; the last one is marked."""
        channel = self.channels.get(stream)
        if channel is None:
            return
        packets = []
        for number, payload in enumerate(payloads):
            self._sequences[stream] = (self._sequences[stream] + 1) & 0xFFFF
            kind = _PAYLOAD_TYPE | (number == len(payloads) - 1) << 7
            head = struct.pack("!BBHII", 0x80, kind, self._sequences[stream], self._ticks(stream, at_s), stream)
            packets.append(head + payload)
        self._send_packets(channel, packets)

    def send_reports(self, at_s: float) -> None:
        """Send a sender report of each stream."""
        for stream, channel in self.channels.items():
            ntp = round((self._clock_s(at_s) + _NTP_EPOCH_S) * 2**32)
            ticks = self._ticks(stream, at_s)
            report = struct.pack("!BBHIQIII", 0x80, 200, 6, stream, ntp, ticks, 0, 0)
            self._send_packets(channel + 1, [report])

    def _ticks(self, stream: int, at_s: float) -> int:
        return (self._bases[stream] + round(at_s * CLOCK_HZ)) & 0xFFFFFFFF

    def _send_packets(self, channel: int, packets: Sequence[bytes]) -> None:
        if channel in self._ports:
            udp, client = self._ports[channel]
            with suppress(OSError):  # the client has left
                for packet in packets:
                    udp.sendto(packet, client)
            return
        data = b"".join(struct.pack("!cBH", b"$", channel, len(packet)) + packet for packet in packets)
        with suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self._write, data)

    def _write(self, data: bytes) -> None:
        transport = self._writer.transport
        if not transport.is_closing() and transport.get_write_buffer_size() < MAX_BUFFERED_BYTES:
            self._writer.write(data)


class LiveServer:
    """Answers clients and keeps those that play."""

    def __init__(
        self, parameter_sets: Sequence[bytes], clock_s: Callable[[float], float], now_s: Callable[[], float],
        *, sends_reports: bool, is_udp: bool,
    ) -> None:  # fmt: skip
        self._parameter_sets, self._clock_s, self._now_s = parameter_sets, clock_s, now_s
        self._sends_reports, self._is_udp = sends_reports, is_udp
        self._lock = threading.Lock()
        self._playing: list[LiveClient] = []

    def playing(self) -> list[LiveClient]:
        """Return the clients that play; any thread."""
        with self._lock:
            return list(self._playing)

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one client until it leaves."""
        client = LiveClient(writer, self._clock_s)
        reports: asyncio.Task[None] | None = None
        try:
            while True:
                method, url, headers = await read_request(reader)
                status, extra, body = self._reply(client, method, url, headers)
                writer.write(format_response(status, headers, extra, body))
                if method == "PLAY" and reports is None:
                    reports = asyncio.ensure_future(self._report(client))
                    with self._lock:
                        self._playing.append(client)
                await writer.drain()
                if method == "TEARDOWN":
                    return
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError, OSError):
            pass
        finally:
            if reports is not None:
                reports.cancel()
            with self._lock:
                self._playing = [other for other in self._playing if other is not client]
            client.close()
            writer.close()

    def _reply(
        self, client: LiveClient, method: str, url: str, headers: dict[str, str]
    ) -> tuple[str, dict[str, str], str]:
        """Return status, headers and body of the answer to a request."""
        session = {"Session": "1;timeout=60"}
        if "/live/all" not in url:
            return "404 Not Found", {}, ""
        if method == "OPTIONS":
            return "200 OK", {"Public": "OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN, GET_PARAMETER"}, ""
        if method == "DESCRIBE":
            base = {"Content-Type": "application/sdp", "Content-Base": f"{url.rstrip('/')}/"}
            return "200 OK", base, self._describe()
        if method == "SETUP":
            stream = re.search(r"stream=(\d+)", url)
            if stream is None or int(stream[1]) >= len(STREAMS):
                return "404 Not Found", {}, ""
            number, wanted = int(stream[1]), headers.get("transport", "")
            port, channel = re.search(r"client_port=(\d+)", wanted), re.search(r"interleaved=(\d+)", wanted)
            if self._is_udp and port is not None:
                client.channels[number] = 2 * number
                own = client.use_ports(2 * number, int(port[1]))
                return "200 OK", session | {"Transport": f"RTP/AVP;unicast;{port[0]};server_port={own}"}, ""
            if self._is_udp or channel is None:
                return "461 Unsupported Transport", {}, ""
            client.channels[number] = first = int(channel[1])
            return "200 OK", session | {"Transport": f"RTP/AVP/TCP;unicast;interleaved={first}-{first + 1}"}, ""
        return "200 OK", session, ""

    def _describe(self) -> str:
        """Write the session's description (SDP, RFC 8866)."""
        text = "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=Session\r\nt=0 0\r\na=range:npt=now-\r\n"
        sets = ",".join(base64.b64encode(nal).decode() for nal in self._parameter_sets)
        for number, (kind, encoding) in enumerate(STREAMS):
            text += f"m={kind} 0 RTP/AVP {_PAYLOAD_TYPE}\r\na=rtpmap:{_PAYLOAD_TYPE} {encoding}/{CLOCK_HZ}\r\n"
            if number == SCENE:
                text += f"a=fmtp:{_PAYLOAD_TYPE} packetization-mode=1;sprop-parameter-sets={sets}\r\n"
            text += f"a=control:stream={number}\r\n"
        return text

    async def _report(self, client: LiveClient) -> None:
        while self._sends_reports:
            client.send_reports(self._now_s())
            await asyncio.sleep(REPORT_S)
