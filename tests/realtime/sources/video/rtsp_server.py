"""A camera that speaks RTSP: H.264 over interleaved TCP (RFC 2326, RFC 6184) with RTCP sender reports (RFC 3550)."""

from __future__ import annotations

import base64
import os
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from fractions import Fraction
from functools import cache

import av
import numpy as np

from engines import Image

SIZE = 128, 64
FPS = 25
GOP = 10
NTP_1970_S = 2_208_988_800
CLOCK_HZ = 90_000
MAX_RTP = 1200
BITS = 16


def paint_number(number: int) -> Image:
    """Paint a number as 16 blocks, black or white, which survive lossy coding."""
    width = SIZE[0] // BITS
    bits = [255 * (number >> bit & 1) for bit in range(BITS)]
    return np.repeat(np.tile(np.repeat(np.array(bits, np.uint8), width), (SIZE[1], 1))[:, :, None], 3, axis=2)


def read_number(image: Image) -> int:
    """Read the number of a painted picture."""
    blocks = image.reshape(SIZE[1], BITS, -1).mean(axis=(0, 2))
    return sum(1 << bit for bit, level in enumerate(blocks) if level > 127)


@cache
def encode_numbers(count: int) -> list[list[bytes]]:
    """Encode numbered frames; returns the NAL units of each."""
    codec = av.CodecContext.create("libx264", "w")
    codec.width, codec.height, codec.pix_fmt = *SIZE, "yuv420p"
    codec.time_base, codec.framerate = Fraction(1, FPS), Fraction(FPS)
    codec.options = {"tune": "zerolatency", "preset": "ultrafast", "g": str(GOP), "x264-params": "slices=1"}
    frames = []
    for number in range(count):
        frame = av.VideoFrame.from_ndarray(paint_number(number), format="bgr24")
        frame.pts = number
        (packet,) = codec.encode(frame)
        frames.append([nal for nal in bytes(packet).replace(b"\0\0\0\1", b"\0\0\1").split(b"\0\0\1") if nal])
    return frames


class RtspServer:
    """Serves numbered frames in real time to any number of clients, each from the first frame on.

    captured_ns: when each number was "captured", on this host's monotonic clock, by the last connection.
    clock_error_s: of its wall clock. mode: "serve"; "refuse" closes connections at once; "silent" never answers;
    "login" wants a password; "stall" sends no more frames; "nonsense" sends
    random bytes and hangs up. interval_s: between frames.
    """

    def __init__(self, *, count: int = 2000, clock_error_s: float = 0.0, sends_reports: bool = True) -> None:
        self.mode, self.clock_error_s, self._sends_reports = "serve", clock_error_s, sends_reports
        self.interval_s = 1 / FPS
        self.captured_ns: dict[int, int] = {}
        self.sent = 0
        self.requests: list[str] = []
        self.paths: set[str] = set()
        self.accepted = self.refused = 0
        self._frames = encode_numbers(count)
        self._stop = threading.Event()
        self._clients: set[socket.socket] = set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, name="rtsp server", daemon=True).start()

    @property
    def url(self) -> str:
        return f"rtsp://127.0.0.1:{self.port}/live"

    def drop_clients(self) -> None:
        """Close all connections, as a camera that restarts."""
        for client in list(self._clients):
            with suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._stop.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.drop_clients()
        for client in self._clients:
            client.close()

    def _accept(self) -> None:
        while not self._stop.is_set():
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self._clients.add(client)
            self.accepted += 1
            if self.mode in ("refuse", "nonsense"):
                self.refused += 1
                with suppress(OSError):
                    client.sendall(os.urandom(20_000) if self.mode == "nonsense" else b"")
                client.close()
            elif self.mode != "silent":
                threading.Thread(target=self._serve, args=(client,), name="rtsp client", daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        ended = threading.Event()
        with suppress(OSError), client, client.makefile("rb") as lines:
            while line := lines.readline():
                method = line.decode().split()[0] if line.strip() else ""
                headers = {}
                while header := lines.readline().strip():
                    name, _, value = header.decode().partition(":")
                    headers[name.lower()] = value.strip()
                if not method or method.startswith("$"):  # RTCP of the client
                    continue
                self.requests.append(method)
                self.paths.add(line.decode().split()[1])
                client.sendall(self._answer(method, headers))
                if method == "PLAY":
                    threading.Thread(target=self._play, args=(client, ended), name="rtp", daemon=True).start()
                if method == "TEARDOWN":
                    break
        ended.set()

    def _answer(self, method: str, headers: dict[str, str]) -> bytes:
        status, extra, body = "200 OK", "Session: 1;timeout=60\r\n", ""
        if self.mode == "login" and method == "DESCRIBE":
            status, extra = "401 Unauthorized", 'WWW-Authenticate: Basic realm="camera"\r\n'
        elif method == "OPTIONS":
            extra = "Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN\r\n"
        elif method == "DESCRIBE":
            sets = [nal for nal in self._frames[0] if nal[0] & 31 in (7, 8)]
            sprop = ",".join(base64.b64encode(nal).decode() for nal in sets)
            body = (
                "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=camera\r\nt=0 0\r\nm=video 0 RTP/AVP 96\r\n"
                f"a=rtpmap:96 H264/{CLOCK_HZ}\r\na=fmtp:96 packetization-mode=1;sprop-parameter-sets={sprop}\r\n"
                "a=control:track\r\n"
            )
            extra = f"Content-Type: application/sdp\r\nContent-Length: {len(body)}\r\n"
        elif method == "SETUP":
            extra += "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n"
        return f"RTSP/1.0 {status}\r\nCSeq: {headers.get('cseq', '0')}\r\n{extra}\r\n{body}".encode()

    def _play(self, client: socket.socket, ended: threading.Event) -> None:
        begun_ns, sequence = time.monotonic_ns(), 0
        with suppress(OSError):
            for number, nals in enumerate(self._frames):
                captured_ns = begun_ns + round(number * self.interval_s * 1e9)
                if self.mode == "nonsense":
                    client.sendall(os.urandom(2000))
                    client.shutdown(socket.SHUT_RDWR)
                while self.mode == "stall" and not ended.wait(0.01):
                    pass
                if ended.wait(max(0.0, (captured_ns - time.monotonic_ns()) / 1e9)) or self._stop.is_set():
                    return
                self.captured_ns[number] = captured_ns
                ticks = round((captured_ns - begun_ns) * CLOCK_HZ / 1e9)
                if self._sends_reports and number % FPS == 0:
                    client.sendall(self._report(captured_ns, ticks, number))
                for at, nal in enumerate(nals):
                    for part, is_end in _fragment(nal):
                        marker = is_end and at == len(nals) - 1
                        head = struct.pack(">BBHII", 0x80, 96 | marker << 7, sequence & 0xFFFF, ticks & 0xFFFFFFFF, 7)
                        client.sendall(b"$\0" + struct.pack(">H", len(head + part)) + head + part)
                        sequence += 1
                self.sent = number + 1

    def _report(self, captured_ns: int, ticks: int, packets: int) -> bytes:
        wall_ns = captured_ns + max(time.time_ns() - time.monotonic_ns() for _ in range(9))
        seconds, rest_ns = divmod(wall_ns + round(self.clock_error_s * 1e9), 1_000_000_000)
        seconds, fraction = seconds + NTP_1970_S, (rest_ns << 32) // 1_000_000_000
        report = struct.pack(">BBHIIIIII", 0x80, 200, 6, 7, seconds, fraction, ticks & 0xFFFFFFFF, packets, 0)
        return b"$\1" + struct.pack(">H", len(report)) + report


def _fragment(nal: bytes) -> Iterator[tuple[bytes, bool]]:
    """Yield a NAL unit, or its fragments (FU-A), and whether each is the last."""
    if len(nal) <= MAX_RTP:
        yield nal, True
        return
    indicator, kind = nal[0] & 0xE0 | 28, nal[0] & 31
    for at in range(1, len(nal), MAX_RTP):
        is_end = at + MAX_RTP >= len(nal)
        yield bytes([indicator, (at == 1) << 7 | is_end << 6 | kind]) + nal[at : at + MAX_RTP], is_end


@contextmanager
def serve_rtsp(**options: object) -> Iterator[RtspServer]:
    server = RtspServer(**options)  # type: ignore[arg-type]
    try:
        yield server
    finally:
        server.close()
