"""Tests the page's server over real sockets: its files, who may have them, TLS, and the end."""

import asyncio
import contextlib
import json
import shutil
import socket
import ssl
import subprocess
import threading

import aiohttp
import pytest

from realtime.config.viewer import ViewSettings
from realtime.errors import ViewerError
from realtime.viewer import server
from realtime.viewer.access import reachable_host
from realtime.viewer.live_page import LivePage
from tests.realtime.recording import object_recordings
from tests.realtime.viewer.page_clients import TOKEN, receive_text, run_client, serve_page
from tests.realtime.waiting import eventually, find_threads


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
