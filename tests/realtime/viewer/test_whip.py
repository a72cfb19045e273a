"""Tests wearers that connect over WebRTC: a sender in another process, and a real browser as one, over real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import pytest

from realtime.config.schema import load_config
from realtime.config.viewer import ViewSettings
from realtime.errors import SettingsError, SourceError
from realtime.infra.progress import ProgressReporter
from realtime.session.inputs import open_frames, open_gaze
from realtime.session.run import run
from realtime.sources.webrtc import wearer_sources
from realtime.sources.webrtc.receiver import NO_WEARER, REPLACED
from realtime.sources.webrtc.wearer_sources import WebRtcFrames, WebRtcGaze
from realtime.types import Frame, GazeSample
from realtime.viewer.live_page import LivePage
from tests.realtime.viewer.page_runs import serve_run
from tests.realtime.waiting import PATIENCE_S, eventually

pytest.importorskip("aiortc", reason="wearers over WebRTC need aiortc: pip install -e '.[webrtc]'")

from aioice.ice import get_host_addresses

pytestmark = pytest.mark.skipif(
    not get_host_addresses(use_ipv4=True, use_ipv6=True),
    reason="WebRTC uses no loopback address, and there is no other",
)
TOKEN = "0123456789abcdef"
DEMO = Path(__file__).parents[3] / "demos" / "whip_wearer.py"


class Run:
    """Frames and gaze of `whip:` behind a page, and what came."""

    def __init__(self, token: str = "") -> None:
        self.frames, self.samples = list[Frame](), list[GazeSample]()
        self.notices = list[str]()
        video = open_frames("whip:")
        gaze = open_gaze("webrtc:", video)
        assert isinstance(video, WebRtcFrames)
        assert isinstance(gaze, WebRtcGaze)
        self.video, self.gaze = video, gaze
        self.page = LivePage(ViewSettings(enabled=True, port=0, token=token), whip=video.receiver)
        video.receiver.on_notice = self.notices.append
        self.url = f"{self.page.address.partition('?')[0]}whip"
        gaze.start(self.samples.append)
        video.start(self.frames.append)

    def close(self) -> None:
        self.gaze.stop()
        self.video.stop()
        self.page.close()
        assert self.video.receiver.peer is None or self.video.receiver._loop is None


@pytest.fixture
def live() -> Iterator[Run]:
    opened = Run()
    yield opened
    opened.close()


@contextlib.contextmanager
def wearer(url: str, *options: str) -> Iterator[subprocess.Popen[str]]:
    """Run the demo's wearer in a process of its own."""
    with subprocess.Popen([sys.executable, DEMO, url, *options], stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def request(run: Callable[[aiohttp.ClientSession], Awaitable[Any]]) -> Any:
    async def within_session() -> Any:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(PATIENCE_S)) as session:
            return await run(session)

    return asyncio.run(within_session())


def find_disc(frame: Frame) -> np.ndarray[Any, Any]:
    """Return the middle of the red disc, 0..1."""
    blue, _, red = frame.image.transpose(2, 0, 1).astype(int)
    rows, columns = np.nonzero(red - blue > 80)
    return np.array([columns.mean() / frame.size[0], rows.mean() / frame.size[1]])


def test_video_and_gaze_arrive_on_the_hosts_clock(live: Run) -> None:
    assert live.video.status().reason == NO_WEARER
    with wearer(live.url):
        eventually(lambda: len(live.frames) > 60 and len(live.samples) > 200)
        eventually(lambda: live.video.status().clock is not None)
    assert live.video.status().state == "running"
    frames, samples = list(live.frames), list(live.samples)
    assert [frame.index for frame in frames] == list(range(len(frames)))
    for frame in frames:
        assert frame.captured_ns <= frame.received_ns
        assert frame.size == (640, 360)
    # the gaze is where the disc is: the nearest sample in time is nearer than one of a second ago
    errors = []
    times = np.array([sample.captured_ns for sample in samples])
    for frame in frames[-30:]:
        nearest = samples[int(np.abs(times - frame.captured_ns).argmin())]
        errors.append(np.linalg.norm(find_disc(frame) - (nearest.x, nearest.y)))
    assert np.median(errors) < 0.3 * 0.5
    assert all(sample.captured_ns <= sample.received_ns and sample.confidence == 1 for sample in samples)


def test_a_session_ends_with_its_wearer_and_another_one_may_come(live: Run) -> None:
    with wearer(live.url) as process:
        eventually(lambda: live.frames and live.samples)
        process.terminate()
        eventually(lambda: process.poll() is not None)
        eventually(lambda: live.video.status().reason == NO_WEARER == live.gaze.status().reason)
    count = len(live.frames)
    with wearer(live.url):
        eventually(lambda: len(live.frames) > count)
        assert live.gaze.status().state == "running" or live.samples


def test_a_new_wearer_replaces_the_one_before_and_it_is_reported(live: Run) -> None:
    with wearer(live.url) as first:
        eventually(lambda: live.frames)
        with wearer(live.url):
            eventually(lambda: first.poll() is not None)
            assert live.notices == [REPLACED]
            count = len(live.frames)
            eventually(lambda: len(live.frames) > count + 10)


def test_a_wearer_that_vanishes_is_reported_and_replaced(live: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wearer_sources, "SILENCE_NS", 300_000_000)
    with wearer(live.url) as first:
        eventually(lambda: live.frames and live.samples)
        first.kill()
        eventually(lambda: live.video.status().reason == "the wearer is connected, but sends no video")
        eventually(lambda: live.gaze.status().reason == "the wearer is connected, but sends no gaze")
    count = len(live.frames)
    with wearer(live.url):
        eventually(lambda: len(live.frames) > count)


def test_requests_are_checked(tmp_path: Path) -> None:
    opened = Run(TOKEN)
    sdp = {"Content-Type": "application/sdp"}
    allowed = {**sdp, "Authorization": f"Bearer {TOKEN}"}
    cases: list[tuple[str, str, dict[str, str], bytes, int, str]] = [
        ("POST", "", sdp, b"v=0", 401, "token"),
        ("POST", "", {**sdp, "Authorization": f"Bearer {TOKEN}x"}, b"v=0", 401, "token"),
        ("POST", "", {**sdp, "Origin": "http://evil.example"}, b"v=0", 401, "other sites"),
        ("POST", "", {**allowed, "Content-Type": "text/plain"}, b"v=0", 415, "application/sdp"),
        ("POST", "", allowed, b"v=0", 400, "neither a video nor a data channel"),
        ("POST", "", allowed, b"m=video", 400, "cannot be used"),
        ("POST", "", allowed, b"v=0\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\n", 400, "cannot be used"),
        ("POST", "", {**allowed, "Origin": "https://wearers.example"}, b"\xff" * 9, 400, "neither"),
        ("POST", "", allowed, b"x" * 70_000, 413, "at most"),
        ("GET", "", allowed, b"", 405, "POST"),
        ("PATCH", "/abc", allowed, b"", 405, "POST"),
        ("DELETE", "/abc", allowed, b"", 404, "no such session"),
        ("OPTIONS", "", {"Origin": "https://wearers.example"}, b"", 204, ""),
    ]

    async def check(session: aiohttp.ClientSession) -> None:
        for method, path, headers, body, status, text in cases:
            async with session.request(method, opened.url + path, headers=headers, data=body) as answer:
                assert answer.status == status, (method, path, headers, body, await answer.text())
                assert text in await answer.text()
                if "Authorization" in headers or method == "OPTIONS":
                    assert status == 401 or answer.headers["Access-Control-Allow-Origin"] == "*"

    try:
        request(check)
        assert opened.video.status().reason == NO_WEARER
        token_file = tmp_path / "token"
        token_file.write_text(f"{TOKEN}\n")
        with wearer(opened.url, "--token-file", str(token_file)):
            eventually(lambda: opened.frames)
        with wearer(opened.url) as refused:
            eventually(lambda: refused.poll() is not None)
    finally:
        opened.close()


def test_a_page_without_this_source_receives_no_wearer() -> None:
    page = LivePage(ViewSettings(enabled=True, port=0))

    async def check(session: aiohttp.ClientSession) -> None:
        async with session.post(f"{page.address}whip", data=b"v=0") as answer:
            assert answer.status == 404
            assert "--source whip:" in await answer.text()

    try:
        request(check)
    finally:
        page.close()


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    class QuietView:
        progress = ProgressReporter()

        def on_page(self, address: str) -> None:
            pass

    with pytest.raises(SettingsError, match="add --view to start it"):
        run(load_config(None, {"source": "whip:"}), QuietView())  # type: ignore[arg-type]
    with pytest.raises(SettingsError, match="expected stun:HOST:PORT"):
        load_config(None, {"whip": {"ice_servers": ["turn:host"]}})
    with pytest.raises(SourceError, match="'whip:x' is no source of frames"):
        open_frames("whip:x")
    monkeypatch.setitem(sys.modules, "aiortc", None)
    monkeypatch.delitem(sys.modules, "realtime.sources.webrtc.peer", raising=False)
    monkeypatch.delattr("realtime.sources.webrtc.peer", raising=False)
    with pytest.raises(SourceError, match=r"pip install -e '.\[webrtc\]'"):
        open_frames("whip:")


SEND = """
(async () => {
  const stream = await navigator.mediaDevices.getUserMedia({ video: true });
  const connection = new RTCPeerConnection();
  stream.getVideoTracks().forEach((track) => connection.addTrack(track, stream));
  const channel = connection.createDataChannel("gaze");
  const seconds = () => (performance.timeOrigin + performance.now()) / 1000;
  channel.onmessage = ({ data }) => {
    const request = JSON.parse(data);
    channel.send(JSON.stringify({ type: "clock", id: request.id, time: seconds() }));
  };
  channel.onopen = () => setInterval(() => {
    if (channel.readyState !== "open") return;
    channel.send(JSON.stringify({ type: "gaze", time: seconds(), x: 0.5, y: 0.5, confidence: 1 }));
  }, 20);
  await connection.setLocalDescription();
  if (connection.iceGatheringState !== "complete") {
    await new Promise((done) => connection.addEventListener("icegatheringstatechange",
      () => connection.iceGatheringState === "complete" && done()));
  }
  const headers = { "Content-Type": "application/sdp" };
  const response = await fetch("/whip", { method: "POST", headers, body: connection.localDescription.sdp });
  await connection.setRemoteDescription({ type: "answer", sdp: await response.text() });
  globalThis.wearer = { connection, channel, location: response.headers.get("Location") };
  return response.status;
})()
"""


def test_a_browser_sends_its_camera_and_gaze_and_sees_the_mask_on_the_page(browser: Any) -> None:
    with serve_run("whip:") as address:
        tab = browser.open_tab(address)
        tab.wait_for("window.gazecast?.state.hello")
        # the server answers 503 until the run has begun
        eventually(lambda: tab.evaluate(SEND) == 201, "an answer")
        tab.wait_for("wearer.connection.connectionState === 'connected'")
        tab.wait_for("gazecast.stage.view")
        tab.wait_for("gazecast.state.latest")
        status = tab.evaluate("fetch(wearer.location, { method: 'DELETE' }).then((response) => response.status)")
        assert status == 200
        tab.close()
