"""Pages over real sockets: what a new one gets, invalid messages, limits and stalled viewers."""

import asyncio
import contextlib
import socket

import aiohttp
import cv2
import numpy as np
import pytest

from realtime.viewer import connections, server
from realtime.viewer.connections import MAX_INVALID, MAX_PER_SECOND
from tests.realtime.viewer.page_clients import (
    HEALTH,
    publish_frames,
    receive_frames,
    receive_text,
    run_client,
    serve_page,
)


def test_a_new_page_receives_the_verbs_and_the_health_at_once():
    async def visit(session, base):
        async with session.ws_connect(base + "ws") as ws:
            assert (await receive_text(ws, "hello"))["verbs"] == ["hold", "snapshot"]
            assert (await receive_text(ws, "health"))["state"] == "running"

    with serve_page() as page:
        page.enable_verbs(["snapshot", "hold"])
        page.on_health(HEALTH)
        run_client(page, visit)


INVALID = ["", "{", "[]", '{"t":"view","kind":"all"}', '{"t":"command","verb":"reboot"}', b"", b"\xff" * 40,
       (5).to_bytes(4, "little") + b"\xff\xfe\xfd\xfc\xfbrest"]  # fmt: skip


def test_invalid_messages_are_counted_and_affect_no_other_page():
    async def visit(session, base):
        async with session.ws_connect(base + "ws") as good, session.ws_connect(base + "ws") as bad:
            await good.send_str('{"t":"view","kind":"masks"}')
            for message in INVALID:
                await (bad.send_bytes if isinstance(message, bytes) else bad.send_str)(message)
            assert "refused" in (await receive_text(bad, "refused"))["t"]
            await bad.send_str('{"t":"view","kind":"masks"}')
            await receive_frames(bad, 2)  # valid messages still work
            for _ in range(MAX_INVALID):
                await bad.send_str("invalid")
            while (message := await bad.receive(timeout=60)).type != aiohttp.WSMsgType.CLOSE:
                pass
            assert message.data == aiohttp.WSCloseCode.POLICY_VIOLATION
            assert page.drop_counts()["view.refused"] == MAX_INVALID  # while both are connected
            await receive_frames(good, 3)

    with serve_page() as page, publish_frames(page):
        run_client(page, visit)
    assert page.drop_counts()["view.refused"] == MAX_INVALID  # and after both have closed


@pytest.mark.parametrize("excess", ["large", "many"])
def test_too_large_or_too_many_messages_close_only_their_sender(excess, monkeypatch):
    monkeypatch.setattr(connections, "now_ns", lambda: 10**12)  # all within one second, however long they take

    async def visit(session, base):
        async with session.ws_connect(base + "ws") as good, session.ws_connect(base + "ws") as bad:
            await good.send_str('{"t":"view","kind":"masks"}')
            with contextlib.suppress(ConnectionError):
                if excess == "large":
                    await bad.send_bytes(bytes(5 * 2**20))
                else:
                    for _ in range(2 * MAX_PER_SECOND):
                        await bad.send_str('{"t":"ack","seq":1}')
            with contextlib.suppress(ConnectionError):
                while (await bad.receive(timeout=60)).type not in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED):
                    pass
            await receive_frames(good, 3)

    with serve_page() as page, publish_frames(page):
        run_client(page, visit)


def test_viewers_beyond_the_limit_are_refused_until_one_disconnects():
    async def visit(session, base):
        async with session.ws_connect(base + "ws"), session.get(base + "overlay.mjpeg"):
            for path in ("ws", "overlay.mjpeg"):
                async with session.get(base + path) as answer:
                    assert answer.status in (400, 503), path
            with pytest.raises(aiohttp.WSServerHandshakeError, match="503"):
                await session.ws_connect(base + "ws")
        while True:  # until a place becomes free
            with contextlib.suppress(aiohttp.WSServerHandshakeError):
                async with session.ws_connect(base + "ws"):
                    return
            await asyncio.sleep(0.02)

    with serve_page(max_viewers=2) as page, publish_frames(page):
        run_client(page, visit)


def test_mjpeg_streams_show_the_overlay_and_the_edges():
    async def first_image(session, address):
        async with session.get(address) as answer:
            assert answer.headers["Content-Type"].startswith("multipart/x-mixed-replace; boundary=frame")
            assert await answer.content.readline() == b"--frame\r\n"
            await answer.content.readline()
            length = int((await answer.content.readline()).split()[1])
            await answer.content.readline()
            return cv2.imdecode(np.frombuffer(await answer.content.readexactly(length), np.uint8), cv2.IMREAD_COLOR)

    async def visit(session, base):
        overlay = await first_image(session, base + "overlay.mjpeg")
        assert overlay.shape == (120, 160, 3)
        assert abs(int(overlay[2, 150].mean()) - 90) < 6
        edges = await first_image(session, base + "edges.mjpeg")
        assert edges.shape == (120, 160, 3)
        assert not edges[60, 80].any()
        assert edges.max() > 150
        doubled = await first_image(session, base + "edges.mjpeg?size=320x240&homography=2,0,0,0,2,0,0,0,1")
        assert doubled.shape == (240, 320, 3)
        rows, columns = np.nonzero(doubled.max(axis=2) > 150)
        assert abs(np.hypot(columns - 160, rows - 120).mean() - 60) < 2
        for query in ("homography=1,2", "homography=x", "homography=0,0,0,0,0,0,0,0,0", "size=1", "size=99999x1"):
            async with session.get(f"{base}edges.mjpeg?{query}") as answer:
                assert answer.status == 400
                assert len(await answer.text()) < 400

    with serve_page() as page, publish_frames(page):
        run_client(page, visit)


def test_stalled_viewers_delay_no_other(monkeypatch):
    for name in ("STALL_TIMEOUT_S", "CLOSE_TIMEOUT_S"):
        monkeypatch.setattr(connections, name, 600)
    monkeypatch.setattr(server, "HEARTBEAT_S", 600)  # so that none of them is disconnected meanwhile

    async def receive_ordered(session, base):
        async with session.ws_connect(base + "ws") as ws:
            await ws.send_str('{"t":"view","kind":"frames"}')
            indices = [header["frame"]["index"] for header in await receive_frames(ws, 100)]
        assert indices == sorted(set(indices))

    async def visit(session, base):
        with contextlib.ExitStack() as stack:
            for path in ("/ws", "/ws", "/overlay.mjpeg", "/edges.mjpeg"):
                stack.enter_context(_connect_stalled(base, path))
            await asyncio.gather(receive_ordered(session, base), receive_ordered(session, base))

    with serve_page() as page, publish_frames(page, 150):
        run_client(page, visit)


def _connect_stalled(base, path):
    """Connect a viewer that requests frames and never reads."""
    host, port = base.removeprefix("http://").strip("/").split(":")
    connection = socket.create_connection((host, int(port)))
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    upgrade = (
        "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
    )
    connection.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\n{upgrade if path == '/ws' else ''}\r\n".encode())
    if path == "/ws":
        text = b'{"t":"view","kind":"frames"}'
        connection.sendall(bytes([0x81, 0x80 | len(text), 0, 0, 0, 0]) + text)  # masked with zeros
    return connection
