"""Tests the page's server over real sockets: access, invalid messages, limits and stalled viewers."""

import asyncio
import contextlib
import json
import shutil
import socket
import ssl
import subprocess
import threading
import time

import aiohttp
import cv2
import numpy as np
import pytest

from realtime.comms.messages import HealthMessage
from realtime.config.viewer import ViewSettings
from realtime.errors import ViewerError
from realtime.pipeline.control import UserCommand
from realtime.sources.browser import BrowserFrames, BrowserGaze
from realtime.viewer import connections, server
from realtime.viewer.access import reachable_host
from realtime.viewer.connections import MAX_INVALID, MAX_PER_SECOND
from realtime.viewer.live_page import LivePage
from tests.realtime.recording import object_recordings
from tests.realtime.sources.test_browser import jpeg
from tests.realtime.viewer.test_frame_broadcaster import frame_result, read_header
from tests.realtime.waiting import PATIENCE_S, eventually, find_threads

TOKEN = "0123456789abcdef"
VISIT_S = 120
"""Limit of a visit: texts come at intervals, so that a wait for one that never comes would have no end of its own."""
HEALTH = HealthMessage("running", "", {"frames": 30.0}, {}, {}, 100.0, {"backend": "fake"})


@contextlib.contextmanager
def serve_page(**changes):
    parts = {name: changes.pop(name) for name in ("frames", "gaze") if name in changes}
    page = LivePage(ViewSettings(enabled=True, port=0, **changes), **parts)
    try:
        yield page
    finally:
        page.close()


@contextlib.contextmanager
def publish_frames(page, rate_hz=100):
    """Publish frames during the block."""
    stop = threading.Event()

    def feed():
        index = 0
        while not stop.wait(1 / rate_hz):
            page.on_mask(frame_result(index))
            index += 1

    thread = threading.Thread(target=feed)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def run_client(page, visit, trust=True):
    """Run `visit(session, base)` against the page; `trust` is a TLS context."""

    async def run():
        connector = aiohttp.TCPConnector(ssl=trust)
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(PATIENCE_S), connector=connector) as session:
            found = await visit(session, page.address.partition("?")[0])
        # TLS sends its last message after `close`, and warns if the loop ends before
        while len(asyncio.get_running_loop()._selector.get_map()) > 1:
            await asyncio.sleep(0.01)
        return found

    return asyncio.run(asyncio.wait_for(run(), VISIT_S))


async def receive_text(ws, kind):
    """Receive the next text of a kind and skip other messages."""
    while True:
        message = await ws.receive(timeout=300)
        assert message.type in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY), message
        if message.type == aiohttp.WSMsgType.TEXT and json.loads(message.data)["t"] == kind:
            return json.loads(message.data)


async def receive_frames(ws, count, ack=True):
    """Receive the headers of the next frames."""
    frames = []
    while len(frames) < count:
        message = await ws.receive(timeout=300)
        if message.type == aiohttp.WSMsgType.BINARY:
            frames.append(read_header(message.data))
            if ack:
                await ws.send_str(json.dumps({"t": "ack", "seq": frames[-1]["seq"]}))
        else:
            assert message.type == aiohttp.WSMsgType.TEXT, message
    return frames


def test_only_the_files_of_the_page_are_served():
    async def visit(session, base):
        for path in ("", "live.js", "frame_worker.js", "style.css", "edges", "icon.svg"):
            async with session.get(base + path) as answer:
                assert answer.status == 200, path
                assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
                text = await answer.text()
                assert "http://" not in text.replace("http://www.w3.org/2000/svg", "")
                assert "https://" not in text
        for path in ("server.py", "../server.py", "%2e%2e/server.py", "page/../../server.py", "/etc/passwd", "a\0b"):
            async with session.get(base + path) as answer:
                assert answer.status in (400, 404), path

    with serve_page() as page:
        run_client(page, visit)


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "192.168.1.5:8765"},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://[x"},
        {"Host": "[x"},
    ],
)
@pytest.mark.parametrize("path", ["ws", "overlay.mjpeg", "edges.mjpeg", ""])
def test_requests_of_other_sites_are_refused(headers, path):
    async def visit(session, base):
        async with session.get(base + path, headers=headers) as answer:
            assert answer.status == 403

    with serve_page() as page:
        run_client(page, visit)
        assert page.drop_counts()["view.refused"] == 1


def test_streams_need_the_token():
    async def visit(session, base):
        for query in ("", "?token=", "?token=0123456789abcdee", f"?token={TOKEN}x", "?token=%ff"):
            async with session.get(base + "overlay.mjpeg" + query) as answer:
                assert answer.status == 403
        async with session.ws_connect(f"{base}ws?token={TOKEN}") as ws:
            assert (await receive_text(ws, "hello"))["stream"] == "gazecast"

    with serve_page(token=TOKEN) as page:
        assert page.address.endswith(f"/?token={TOKEN}")
        run_client(page, visit)


def test_only_ended_recordings_of_this_run_are_reviewed_and_only_with_the_token(tmp_path):
    path = object_recordings.record(tmp_path / "new one.mcap", object_recordings.run(10, 1))
    other = object_recordings.record(tmp_path / "other.mcap", object_recordings.run(10, 1))
    broken = tmp_path / "broken.mcap"
    broken.write_text("no recording")

    async def visit(session, base):
        async def get(name, query=f"?token={TOKEN}"):
            async with session.get(f"{base}review/{name}{query}") as answer:
                return answer.status, await answer.text()

        with announce_recordings(page, path, broken):
            assert (await get("new%20one.mcap/"))[0] == 404  # it is still being written
        assert (await get("new%20one.mcap/", ""))[0] == 403
        assert "gazecast review" in (await get("new%20one.mcap/"))[1]
        assert (await get("new%20one.mcap/timeline.json", ""))[0] == 403
        while not json.loads((await get("new%20one.mcap/timeline.json"))[1])["spans"]:  # it is read meanwhile
            await asyncio.sleep(0.01)
        assert (await get("new%20one.mcap/style.css", ""))[0] == 200
        assert (await get("broken.mcap/"))[0] == 400
        for name in ("other.mcap/", f"..%2f{other.name}/", "new%20one.mcap/x/", "new%20one.mcap"):
            assert (await get(name))[0] == 404, name
        async with session.ws_connect(f"{base}review/new%20one.mcap/ws?token={TOKEN}") as ws:
            assert (await receive_text(ws, "hello"))["file"] == path.name
            page.show_notice("of the live page alone")
            await ws.send_str('{"t":"undo"}')
            assert (await receive_text(ws, "labels"))["recording"] == path.name

    with serve_page(token=TOKEN) as page:
        run_client(page, visit)


@contextlib.contextmanager
def announce_recordings(page, *paths):
    """Announce recordings as running, and as ended after the block."""
    page.recording.set_file(paths[0])
    yield
    page.recording.set_file(None)
    for path in paths[1:]:
        page.recording.set_file(path)
        page.recording.set_file(None)


@pytest.fixture
def certificate(tmp_path):
    if shutil.which("openssl") is None:
        pytest.skip("no openssl to make a certificate with")
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=gazecast",
                    "-keyout", key, "-out", cert], check=True, capture_output=True)  # fmt: skip
    return cert, key


def test_other_machines_connect_over_tls(certificate):
    cert, key = certificate

    async def visit(session, base):
        assert base.startswith("https://")
        base = f"https://127.0.0.1:{base.rsplit(':', 1)[1]}"
        async with session.ws_connect(f"{base}ws?token={TOKEN}") as ws:
            await receive_text(ws, "hello")
        async with session.ws_connect(f"{base}ws?token={TOKEN}", headers={"Host": "robot.local"}) as ws:
            await receive_text(ws, "hello")  # under any host name

    trust = ssl.create_default_context(cafile=str(cert))
    trust.check_hostname = False
    with serve_page(host="0.0.0.0", token=TOKEN, tls_cert=cert, tls_key=key) as page:
        run_client(page, visit, trust=trust)


def test_a_host_that_cannot_be_resolved_is_named(certificate):
    cert, key = certificate
    with (
        pytest.raises(ViewerError, match="cannot resolve no-such-host: check the name or give its IP address"),
        serve_page(host="no-such-host", token=TOKEN, tls_cert=cert, tls_key=key),
    ):
        pass


def test_the_printed_address_can_be_opened_from_other_machines(monkeypatch):
    class RoutedSocket(socket.socket):
        def connect(self, address):
            if address[0] != "192.0.2.1":
                raise OSError("no network")

        def getsockname(self):
            return "10.1.2.3", 9

    monkeypatch.setattr(socket, "socket", RoutedSocket)
    addresses = {host: reachable_host(host) for host in ("0.0.0.0", "::", "127.0.0.1", "robot.local")}
    assert addresses == {"0.0.0.0": "10.1.2.3", "::": "::", "127.0.0.1": "127.0.0.1", "robot.local": "robot.local"}


def test_a_page_that_cannot_be_served_is_reported(tmp_path):
    with serve_page() as page, socket.socket() as other:
        port = int(page.address.rsplit(":", 1)[1].strip("/"))
        with pytest.raises(ViewerError, match=f"127.0.0.1:{port}: the port is in use; stop the program"):
            LivePage(ViewSettings(port=port))
        other.close()
    missing = {"tls_cert": tmp_path / "c.pem", "tls_key": tmp_path / "k.pem"}
    with pytest.raises(ViewerError, match="No such file"):
        LivePage(ViewSettings(port=0, **missing))
    for path in missing.values():
        path.write_text("no certificate")
    with pytest.raises(ViewerError, match=r"view\.tls_cert"):
        LivePage(ViewSettings(port=0, **missing))


def test_close_disconnects_all_pages_and_frees_the_port(monkeypatch):
    runner = server.web.AppRunner
    monkeypatch.setattr(
        server.web, "AppRunner", lambda *args, **options: runner(*args, **options | {"shutdown_timeout": 600})
    )  # only a server that disconnects its pages itself then ends in time
    before = find_threads()
    page = LivePage(ViewSettings(port=0))
    port = int(page.address.rsplit(":", 1)[1].strip("/"))
    done = threading.Event()

    async def visit(session, base):
        async with session.ws_connect(base + "ws") as ws, session.get(base + "overlay.mjpeg") as stream:
            await receive_text(ws, "hello")
            done.set()
            while (await ws.receive(timeout=60)).type != aiohttp.WSMsgType.CLOSE:
                pass
            with contextlib.suppress(aiohttp.ClientError):
                assert await stream.content.read() == b""

    client = threading.Thread(target=run_client, args=(page, visit))
    client.start()
    assert done.wait(60)
    page.close()
    page.close()
    eventually(lambda: find_threads() <= before, "the end of all threads")
    LivePage(ViewSettings(port=port)).close()


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


def camera_frame(index, data=None):
    header = json.dumps({"index": index, "ms": 1000.0 + index}).encode()
    return len(header).to_bytes(4, "little") + header + (data or jpeg())


def test_the_pages_camera_and_pointer_become_frames_and_gaze():
    frames, gaze = BrowserFrames(), BrowserGaze()
    received, samples = [], []
    frames.start(received.append)
    gaze.start(samples.append)

    async def visit(session, base):
        async with session.ws_connect(base + "ws") as ws:
            begun_ms = time.monotonic() * 1e3
            for _ in range(4):
                sync = await receive_text(ws, "sync")
                await ws.send_str(json.dumps({"t": "sync", "n": sync["n"], "ms": time.monotonic() * 1e3 - 5e6}))
            clock = await receive_text(ws, "clock")
            assert abs(clock["host_ms"] - 5e6) < time.monotonic() * 1e3 - begun_ms  # the longest possible round trip
            await ws.send_bytes(camera_frame(0))  # no page is the source yet
            await receive_text(ws, "received")
            await ws.send_str('{"t":"source","on":true,"label":"camera"}')
            while not (await receive_text(ws, "source"))["yours"]:
                pass
            await ws.send_bytes(camera_frame(1))
            assert (await receive_text(ws, "received"))["index"] == 1
            at_ms = time.monotonic() * 1e3 - 5e6
            await ws.send_str(json.dumps({"t": "gaze", "samples": [[0.25, 0.5, at_ms, 1]], "moved": True}))
            await ws.send_str(json.dumps({"t": "gaze", "samples": [[0.25, 0.5, at_ms + 1, 0]], "moved": False}))
            async with session.ws_connect(base + "ws") as other:  # a pointer over another page than the source
                await other.send_str('{"t":"gaze","samples":[[0.9,0.9,5,1]],"moved":true}')
                await other.send_str("?")
                await receive_text(other, "refused")
            await ws.send_str("?")
            await receive_text(ws, "refused")

    with serve_page(frames=frames, gaze=gaze) as page:
        run_client(page, visit)
        eventually(lambda: received, "a frame")
        assert page.drop_counts()["view.not the source"] == 1
        assert page.drop_counts()["view.not the pointer"] == 1
    frames.stop()
    assert [frame.index for frame in received] == [1]
    assert received[0].timestamp == pytest.approx(1.001)
    assert [(each.x, each.y, each.unit, each.confidence) for each in samples] == [
        (0.25, 0.5, "norm", 1.0),
        (0.25, 0.5, "norm", 0.0),
    ]
    assert abs(samples[0].captured_ns - samples[0].received_ns) < VISIT_S * 1e9  # the clocks differ by 5000 s


def test_the_newest_page_is_the_source_until_it_closes():
    frames = BrowserFrames()

    async def visit(session, base):
        async with session.ws_connect(base + "ws") as first:
            await first.send_str('{"t":"source","on":true,"label":"one"}')
            while not (await receive_text(first, "source"))["yours"]:
                pass
            async with session.ws_connect(base + "ws") as second:
                await second.send_str('{"t":"source","on":true,"label":"two"}')
                source = await receive_text(first, "source")
                while source["yours"]:
                    source = await receive_text(first, "source")
                assert (source["active"], source["label"]) == (True, "two")
            assert not (await receive_text(first, "source"))["active"]

    with serve_page(frames=frames) as page:
        run_client(page, visit)
    frames.stop()


def test_buttons_become_commands():
    async def visit(session, base):
        async with session.ws_connect(base + "ws") as ws:
            await ws.send_str('{"t":"command","verb":"hold","on":true}')
            await ws.send_str('{"t":"command","verb":"part"}')
            await ws.send_str("?")
            await receive_text(ws, "refused")

    with serve_page() as page:
        run_client(page, visit)
        assert page.commands.drain() == [UserCommand("hold", True), UserCommand("part", True)]


def test_a_snapshot_is_written_and_reported(tmp_path):
    async def visit(session, base):
        async with session.ws_connect(base + "ws") as ws:
            await receive_text(ws, "hello")
            page.on_command(UserCommand("snapshot"), frame_result(4))
            return (await receive_text(ws, "notice"))["text"]

    folder = tmp_path / "new" / "shots"
    with serve_page(snapshots=folder) as page:
        first, second = run_client(page, visit), run_client(page, visit)
    assert first.startswith("saved ")
    assert second != first
    written = sorted(path.name.partition("-")[2].partition("-")[2] for path in folder.iterdir())
    assert len(written) == 8
    mask = cv2.imread(str(next(folder.glob("*-mask.png"))), cv2.IMREAD_GRAYSCALE)
    assert set(np.unique(mask)) == {0, 255}
    metadata = json.loads(next(folder.glob("*.json")).read_text())
    assert metadata["state"] == "locked"
    assert "mask" not in metadata


def test_a_snapshot_that_cannot_be_written_is_reported(tmp_path):
    (tmp_path / "file").write_text("in the way")

    async def visit(session, base):
        async with session.ws_connect(base + "ws") as ws:
            await receive_text(ws, "hello")
            page.on_command(UserCommand("snapshot"), frame_result(4))
            return (await receive_text(ws, "notice"))["text"]

    with serve_page(snapshots=tmp_path / "file") as page:
        for _ in range(2):
            assert run_client(page, visit).startswith("cannot write a snapshot into")
