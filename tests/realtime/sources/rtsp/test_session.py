"""A session over one connection: descriptions, and servers that answer wrongly."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from realtime.sources.rtsp.packets import StreamError
from realtime.sources.rtsp.session import RtspSession, TransportRefused, parse_description

SDP = (
    "v=0\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=fmtp:96 sprop-parameter-sets=Z0I=,aM4=;x=1\r\n"
    "a=control:stream=0\r\nm=audio 0 RTP/AVP 97\r\nm=application 0 RTP/AVP 98\r\na=rtpmap:98 X/0\r\n"
    "a=control:rtsp://h/live/stream=2\r\nm=application 0 RTP/AVP 98\r\na=fmtp:98 sprop-parameter-sets=%%%\r\n"
)


def test_a_description_has_streams_by_kind_and_number() -> None:
    streams = parse_description(SDP)
    assert [(stream.kind, stream.number) for stream in streams] == [
        ("video", 0), ("audio", 0), ("application", 0), ("application", 1),
    ]  # fmt: skip
    assert (streams[0].encoding, streams[0].control, len(streams[0].parameter_sets)) == ("h264", "stream=0", 2)
    assert (streams[2].clock_hz, streams[2].control) == (1, "rtsp://h/live/stream=2")
    assert parse_description("") == parse_description("nonsense\r\na=control:x") == []


@contextlib.contextmanager
def server(answer: Callable[[socket.socket], None]) -> Iterator[int]:
    """A server that answers one client as a test decides."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with contextlib.suppress(OSError):
            client, _ = listener.accept()
            with client:
                answer(client)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.close()
        thread.join(60)


def reply(client: socket.socket, text: bytes) -> None:
    client.recv(4096)
    client.sendall(text)
    client.recv(4096)  # until the client leaves


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"RTSP/1.0 404 Not Found\r\nCSeq: 1\r\n\r\n", "it answers '404 Not Found' to the RTSP request DESCRIBE"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "does not answer as an RTSP server does"),
        (b"RTSP/1.0 200 OK\r\nContent-Length: 999999999\r\n\r\n", "does not answer as an RTSP server does"),
        (b"RTSP/1.0 200 OK\r\n" + b"x" * 70_000, "does not answer as an RTSP server does"),
    ],
)
def test_servers_that_answer_wrongly(text: bytes, message: str) -> None:
    with server(lambda client: reply(client, text)) as port:
        session = RtspSession("127.0.0.1", port, "/live/all", lambda: False)
        with contextlib.closing(session), pytest.raises(StreamError, match=message):
            session.play(lambda streams: streams)


def test_a_server_that_leaves_is_reported() -> None:
    with server(lambda client: None) as port:
        session = RtspSession("127.0.0.1", port, "/live/all", lambda: False)
        with contextlib.closing(session), pytest.raises((StreamError, OSError)):
            session.play(lambda streams: streams)


def test_a_wait_ends_when_the_source_stops() -> None:
    stopped = threading.Event()
    with server(lambda client: reply(client, b"")) as port:
        session = RtspSession("127.0.0.1", port, "/live/all", stopped.is_set)
        stopped.set()
        with contextlib.closing(session), pytest.raises(StreamError):
            session.play(lambda streams: streams)


@pytest.mark.parametrize("answer", [b"RTSP/1.0 461 Unsupported Transport\r\nCSeq: 2\r\n\r\n", b""])
def test_a_server_that_refuses_a_transport_is_asked_for_the_other(answer: bytes) -> None:
    """By the same connection, or where the server has ended that, by the next one."""
    asked: list[bytes] = []

    def refuse(client: socket.socket) -> None:
        client.recv(4096)
        body = b"v=0\r\nm=video 0 RTP/AVP 96\r\na=control:stream=0\r\n"
        client.sendall(b"RTSP/1.0 200 OK\r\nCSeq: 1\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        asked.append(client.recv(4096))
        if answer:
            client.sendall(answer)
            asked.append(client.recv(4096))
            client.sendall(answer.replace(b"CSeq: 2", b"CSeq: 3"))
            client.recv(4096)

    with server(refuse) as port:
        session = RtspSession("127.0.0.1", port, "/live/all", lambda: False)
        with contextlib.closing(session), pytest.raises(TransportRefused):
            session.play(lambda streams: streams)
    assert b"RTP/AVP/TCP;unicast;interleaved=0-1" in asked[0]
    assert not answer or b"RTP/AVP;unicast;client_port=" in asked[1]
