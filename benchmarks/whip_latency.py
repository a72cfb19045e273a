"""Measures the latency of a wearer over WebRTC on this machine, by numbers that are painted into the frames.

    python -m benchmarks.whip_latency [--size 1280x720] [--seconds 20] [--offset 0.25] [--loss 0.01] [--library-buffer]

A sender in another process paints the host's monotonic time into every frame, and sends gaze at 200 Hz. Measured are
the time from painting to the frame that a run would get, the same for gaze, and how far times of capture are off.
--offset: of the sender's clock, which both its reports and its answers have. --loss: share of the video's packets that
are lost, at random. --library-buffer: aiortc's own buffer.
"""

from __future__ import annotations

import argparse
import asyncio
import datetime
import fractions
import json
import random
import subprocess
import sys
import time
from typing import Any

import aiohttp
import av
import numpy as np
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription, VideoStreamTrack, clock
from aiortc.rtcdtlstransport import RTCDtlsTransport

from realtime.config.viewer import ViewSettings
from realtime.session.inputs import open_frames, open_gaze
from realtime.sources.webrtc import peer
from realtime.sources.webrtc.wearer_sources import WebRtcFrames
from realtime.types import Frame, GazeSample
from realtime.viewer.live_page import LivePage

FPS, GAZE_HZ, CELL, BITS = 30, 200, 16, 40
WARM_UP_S = 3.0


def paint(image: np.ndarray[Any, Any], value: int) -> None:
    """Paint a number as black and white squares into the first rows."""
    for bit in range(BITS):
        image[:CELL, bit * CELL : (bit + 1) * CELL] = 255 if value >> bit & 1 else 0


def read_painted(image: np.ndarray[Any, Any]) -> int:
    """Read the number that `paint` left."""
    return sum(int(image[CELL // 2, bit * CELL + CELL // 2, 1] > 127) << bit for bit in range(BITS))


class PaintedTrack(VideoStreamTrack):
    """A video whose frames have the host's monotonic time in microseconds painted in."""

    def __init__(self, size: tuple[int, int]) -> None:
        super().__init__()
        self._background = np.random.default_rng(0).integers(60, 140, (size[1] // 8, size[0] // 8, 3), np.uint8)
        self._background = self._background.repeat(8, 0).repeat(8, 1)
        self._count, self._begun_s = 0, time.monotonic()

    async def recv(self) -> av.VideoFrame:
        """Paint the time when it is due."""
        self._count += 1
        await asyncio.sleep(max(0.0, self._begun_s + self._count / FPS - time.monotonic()))
        now_s = time.monotonic()
        image = np.roll(self._background, 2 * self._count, axis=1)
        paint(image, round(now_s * 1e6))
        frame = av.VideoFrame.from_ndarray(image, format="bgr24")
        frame.pts, frame.time_base = round((now_s - self._begun_s) * 90_000), fractions.Fraction(1, 90_000)
        return frame


async def send(url: str, size: tuple[int, int], offset_s: float) -> None:
    """Send video and gaze until it is killed."""
    shift = datetime.timedelta(seconds=offset_s)
    clock.current_datetime = lambda: datetime.datetime.now(datetime.UTC) + shift
    connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    connection.addTrack(PaintedTrack(size))
    channel = connection.createDataChannel("gaze", ordered=False, maxRetransmits=0)

    @channel.on("message")
    def on_message(text: str) -> None:
        channel.send(json.dumps({"type": "clock", "id": json.loads(text)["id"], "time": time.time() + offset_s}))

    async def send_gaze() -> None:
        while True:
            # x has the monotonic time, for the measurement
            sample = {"type": "gaze", "time": time.time() + offset_s, "x": time.monotonic(), "y": 0, "unit": "px"}
            channel.send(json.dumps(sample))
            await asyncio.sleep(1 / GAZE_HZ)

    opened = asyncio.Event()
    channel.on("open", opened.set)
    await connection.setLocalDescription(await connection.createOffer())
    headers = {"Content-Type": "application/sdp"}
    async with (
        aiohttp.ClientSession() as session,
        session.post(url, data=connection.localDescription.sdp, headers=headers) as response,
    ):
        await connection.setRemoteDescription(RTCSessionDescription(await response.text(), "answer"))
    await opened.wait()
    await send_gaze()


def lose_packets(share: float) -> None:
    """Lose packets of video before anything sees them."""
    handle, chance = RTCDtlsTransport._handle_rtp_data, random.Random(1)

    async def handle_some(self: RTCDtlsTransport, data: bytes, arrival_time_ms: int) -> None:
        if chance.random() >= share:
            await handle(self, data, arrival_time_ms)

    RTCDtlsTransport._handle_rtp_data = handle_some


def measure(args: argparse.Namespace) -> None:
    """Run sender and receiver, and print the figures in ms."""
    if args.library_buffer:
        peer._BUFFER = "none"
    if args.loss:
        lose_packets(args.loss)
    video = open_frames("whip:")
    gaze = open_gaze("whip:", video)
    assert isinstance(video, WebRtcFrames)
    page = LivePage(ViewSettings(enabled=True, port=0), whip=video.receiver)
    frames: list[tuple[float, float]] = []
    samples: list[tuple[float, float]] = []
    begun_s = time.monotonic()
    first_s: list[float] = []

    def on_frame(frame: Frame) -> None:
        now_s = time.monotonic()
        first_s.append(now_s)
        painted_s = read_painted(frame.image) / 1e6
        frames.append((now_s - painted_s, frame.captured_ns / 1e9 - painted_s))

    def on_gaze(sample: GazeSample) -> None:
        samples.append((time.monotonic() - sample.x, sample.captured_ns / 1e9 - sample.x))

    gaze.start(on_gaze)
    video.start(on_frame)
    command = [sys.executable, "-m", "benchmarks.whip_latency", "--send", f"{page.address}whip"]
    command += ["--size", args.size, "--offset", str(args.offset)]
    with subprocess.Popen(command) as sender:
        time.sleep(args.seconds)
        sender.kill()
    kept = len([at_s for at_s in first_s if at_s - first_s[0] < WARM_UP_S])
    print(f"{args.size} at {FPS}, clock off by {args.offset * 1e3:g} ms, loss {args.loss:.0%}")
    print(f"first frame after {first_s[0] - begun_s:.2f} s")
    for name, rows in (("frames", frames[kept:]), ("gaze", samples[round(WARM_UP_S * GAZE_HZ) :])):
        if not rows:
            print(f"{name}: none after the first {WARM_UP_S:g} s")
            continue
        latency, error = 1e3 * np.array(rows).T
        print(
            f"{name}: {len(rows)}, latency p50 {np.median(latency):.1f} p95 {np.percentile(latency, 95):.1f} ms; "
            f"capture time off by p50 {np.median(error):.1f} p95 of |.| {np.percentile(np.abs(error), 95):.1f} ms"
        )
    print("dropped", video.status().dropped, gaze.status().dropped)
    gaze.stop()
    video.stop()
    page.close()


def main() -> None:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", default="640x360")
    parser.add_argument("--seconds", type=float, default=15.0)
    parser.add_argument("--offset", type=float, default=0.25)
    parser.add_argument("--loss", type=float, default=0.0)
    parser.add_argument("--library-buffer", action="store_true")
    parser.add_argument("--send", metavar="URL", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.send:
        width, _, height = args.size.partition("x")
        asyncio.run(send(args.send, (int(width), int(height)), args.offset))
    else:
        measure(args)


if __name__ == "__main__":
    main()
