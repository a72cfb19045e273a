"""Readers of what peers say while a connection is opened: RTSP, WebRTC, LSL and Foxglove."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

from aiortc.sdp import SessionDescription

from realtime.errors import SourceError
from realtime.robotics.ros2.foxglove_relay import OLDER_PROTOCOL, SDK_PROTOCOL, _offers_older_only, _rename_protocol
from realtime.sources.lsl.channels import LslChannel, LslDescription, LslOptions, select_channels
from realtime.sources.rtsp.session import RtspSession, SessionStream, StreamError
from tests.fuzz.readers.base import FuzzedReader, to_text

MAX_PACKETS = 64
_SDP = b"v=0\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=control:trackID=0\r\n"


class _ScriptedServer:
    """A socket that receives one piece of a server's bytes at a time, and then its end."""

    def __init__(self, pieces: list[bytes]) -> None:
        self._pieces = iter(pieces)

    def recv(self, size: int) -> bytes:
        return next(self._pieces, b"")

    def sendall(self, data: bytes) -> None:
        pass

    def close(self) -> None:
        pass


class _ScriptedSession(RtspSession):
    """A session over a connection that only the test knows; it has no other to fall back to."""

    def __init__(self, pieces: list[bytes]) -> None:
        server = _ScriptedServer(pieces)
        ready = [(SimpleNamespace(fileobj=server), 1)]
        self._socket, self._selector = server, SimpleNamespace(select=lambda wait: ready, close=lambda: None)  # type: ignore[assignment]
        self._url, self._is_stopped, self.is_udp, self._udp = "rtsp://h/live", lambda: False, False, {}
        self._data, self._datagrams, self._number = bytearray(), [], 0  # type: ignore[assignment]
        self._session, self._keep_alive_ns, self._channels = "", 10**18, {}

    def _set_up(self, url: str, channel: int, stream: SessionStream) -> None:
        if self.is_udp:
            raise StreamError("no datagrams here")
        super()._set_up(url, channel, stream)


def _read_session(data: bytes) -> object:
    """Play the first stream and read packets; the bytes arrive in pieces, cut at each 0xfe."""
    session = _ScriptedSession(data.split(b"\xfe"))
    try:
        session.play(lambda streams: streams[:1])
        return list(itertools.islice(session.packets(), MAX_PACKETS))
    finally:
        session.close()


def _make_sessions() -> Iterable[bytes]:
    def answer(number: int, head: str, body: bytes = b"") -> bytes:
        return f"RTSP/1.0 200 OK\r\nCSeq: {number}\r\n{head}Content-Length: {len(body)}\r\n\r\n".encode() + body

    packet = b"\x80\x60\0\1" + bytes(8) + b"\x65slice"
    report = b"\x80\xc8\0\6" + bytes(24)
    frames = b"".join(b"$" + bytes([channel, 0, len(one)]) + one for channel, one in enumerate((packet, report)))
    transport = "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\nSession: 12;timeout=60\r\n"
    whole = answer(1, "Content-Base: rtsp://h/live/\r\n", _SDP) + answer(2, transport) + answer(3, "") + frames
    for pieces in ((whole,), (whole[:90], whole[90:]), (whole[:-7], whole[-7:])):
        yield b"\xfe".join(pieces)


def _read_until_end(data: bytes) -> object:
    try:
        return _read_session(data)
    except (StreamError, OSError):  # every script ends so
        return None


def _read_channels(data: bytes) -> object:
    """The first line is as long as there are channels; the others have label, type, unit and eye of each."""
    head, *lines = to_text(data).split("\n")
    rows = ([*line.split("\t"), "", "", "", ""][:4] for line in lines)
    channels = tuple(LslChannel(*row) for row in rows)
    return select_channels(LslDescription("eyes", len(head), channels, size=(1920.0, 1080.0)), LslOptions())


def _make_channels() -> Iterable[bytes]:
    point = b"x\tScreenX\tpixels\tleft\ny\tScreenY\tpixels\tleft\nc\tConfidence\tnormalized\nd\tDiameter\tmm\tleft"
    yield b"abcd\n" + point
    yield b"ab\nBPOGX\t\tnorm\nBPOGY\t\tnorm"
    yield b"abc\ngaze_x\tgaze\tnorm\ngaze_y\tgaze\tnorm\ntime"


def _read_handshake(data: bytes) -> tuple[Any, ...]:
    return _offers_older_only(data), _rename_protocol(data, OLDER_PROTOCOL, SDK_PROTOCOL)


_OFFER = (
    b"v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0 1\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\n"
    b"c=IN IP4 0.0.0.0\r\na=rtcp:9 IN IP4 0.0.0.0\r\na=ice-ufrag:abcd\r\na=ice-pwd:abcdefghijklmnopqrstuv\r\n"
    b"a=fingerprint:sha-256 AA:BB\r\na=setup:actpass\r\na=mid:0\r\na=extmap:1 urn:ietf:params:rtp-hdrext:sdes:mid\r\n"
    b"a=sendonly\r\na=rtcp-mux\r\na=rtpmap:96 H264/90000\r\na=fmtp:96 packetization-mode=1\r\n"
    b"a=candidate:1 1 udp 2130706431 10.0.0.5 5000 typ host\r\na=ssrc:1 cname:a\r\n"
    b"m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\na=mid:1\r\na=sctp-port:5000\r\n"
)
READERS = (
    FuzzedReader("rtsp session", _read_until_end, (), _make_sessions),
    FuzzedReader(
        "webrtc offer", lambda data: SessionDescription.parse(to_text(data)),
        # those that `answer` reports; a StopIteration leaves its coroutine as a RuntimeError
        (ValueError, KeyError, IndexError, AttributeError, TypeError, AssertionError, StopIteration),
        lambda: [_OFFER],
    ),
    FuzzedReader("lsl channels", _read_channels, (SourceError,), _make_channels),
    FuzzedReader(
        "foxglove handshake", _read_handshake, (),
        lambda: [b"GET / HTTP/1.1\r\nHost: h\r\nSec-WebSocket-Protocol: foxglove.websocket.v1\r\n\r\n"],
    ),
)  # fmt: skip
