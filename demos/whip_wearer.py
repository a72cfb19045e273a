"""A wearer behind a network: sends video and gaze to `gazecast run --source whip: --view` over WebRTC.

    python demos/whip_wearer.py https://HOST:8770/whip --token-file FILE --video CLIP.mp4

It shows what a sender has to do: POST an offer with a video and a data channel, answer requests for its clock, and send
gaze with times of capture. Without --video it sends a moving disc, and gaze that follows it. Needs aiortc and aiohttp.
"""

from __future__ import annotations

import argparse
import asyncio
import fractions
import json
import signal
import ssl
import time
from pathlib import Path

import aiohttp
import av
import numpy as np
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription, VideoStreamTrack
from aiortc.contrib.media import MediaPlayer
from yarl import URL

SIZE, RADIUS, FPS, GAZE_HZ = (640, 360), 40, 30, 100


def disc_at(time_s: float) -> tuple[float, float]:
    """Return the disc's centre at a time of the wall clock, px."""
    return SIZE[0] * (0.5 + 0.3 * np.cos(time_s / 2)), SIZE[1] * (0.5 + 0.3 * np.sin(time_s / 2))


class DiscTrack(VideoStreamTrack):
    """A video of a disc that moves in a circle by the wall clock."""

    def __init__(self) -> None:
        super().__init__()
        self._rows, self._columns = np.ogrid[: SIZE[1], : SIZE[0]]
        self._count = 0
        self._begun_s = time.monotonic()

    async def recv(self) -> av.VideoFrame:
        """Draw the disc where it is now."""
        self._count += 1
        await asyncio.sleep(max(0.0, self._begun_s + self._count / FPS - time.monotonic()))
        x, y = disc_at(time.time())
        image = np.full((SIZE[1], SIZE[0], 3), 90, np.uint8)
        image[(self._columns - x) ** 2 + (self._rows - y) ** 2 < RADIUS**2] = (40, 40, 220)
        frame = av.VideoFrame.from_ndarray(image, format="bgr24")
        frame.pts, frame.time_base = round((time.monotonic() - self._begun_s) * 90_000), fractions.Fraction(1, 90_000)
        return frame


async def send_gaze(channel: object) -> None:
    """Send a sample every 10 ms while the channel is open: where the disc is, with the time."""
    while channel.readyState == "open":  # type: ignore[attr-defined]
        now_s = time.time()
        x, y = disc_at(now_s)
        sample = {"type": "gaze", "time": now_s, "x": x / SIZE[0], "y": y / SIZE[1], "confidence": 1.0}
        channel.send(json.dumps(sample))  # type: ignore[attr-defined]
        await asyncio.sleep(1 / GAZE_HZ)


async def connect(session: aiohttp.ClientSession, args: argparse.Namespace) -> None:
    """Connect, send until the connection ends, and end the session."""
    connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    track = MediaPlayer(args.video, loop=True).video if args.video else DiscTrack()
    connection.addTrack(track)
    channel = connection.createDataChannel("gaze", ordered=False, maxRetransmits=0)
    ended = asyncio.Event()
    tasks: list[asyncio.Future[None]] = []

    @channel.on("message")
    def on_message(text: str) -> None:
        request = json.loads(text)
        if request["type"] == "clock":
            channel.send(json.dumps({"type": "clock", "id": request["id"], "time": time.time()}))

    @channel.on("open")
    def on_open() -> None:
        if not args.video:
            tasks.append(asyncio.ensure_future(send_gaze(channel)))

    @connection.on("connectionstatechange")
    def on_state() -> None:
        print(f"connection: {connection.connectionState}", flush=True)
        if connection.connectionState in ("failed", "closed"):
            ended.set()

    await connection.setLocalDescription(await connection.createOffer())
    headers = {"Content-Type": "application/sdp"}
    if args.token_file:
        headers["Authorization"] = f"Bearer {args.token_file.read_text().strip()}"
    async with session.post(args.url, data=connection.localDescription.sdp, headers=headers) as response:
        if response.status != 201:
            raise SystemExit(f"{response.status}: {(await response.text()).strip()}")
        answer, location = await response.text(), response.headers["Location"]
    await connection.setRemoteDescription(RTCSessionDescription(answer, "answer"))
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    waits = [asyncio.ensure_future(event.wait()) for event in (ended, stopped)]
    await asyncio.wait(waits, timeout=args.seconds or None, return_when=asyncio.FIRST_COMPLETED)
    if not ended.is_set():
        async with session.delete(response.url.join(URL(location)), headers=headers):
            pass
    for task in (*waits, *tasks):
        task.cancel()
    await connection.close()


async def main() -> None:
    """Parse the command line and connect."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url", help="address of the page with /whip, such as http://127.0.0.1:8770/whip")
    parser.add_argument("--token-file", type=Path, metavar="FILE", help="holds the token of the page")
    parser.add_argument("--video", help="a clip, which is repeated")
    parser.add_argument("--seconds", type=float, default=0.0, help="end after so long")
    parser.add_argument("--insecure", action="store_true", help="accept a certificate that nobody has signed")
    args = parser.parse_args()
    context = ssl.create_default_context()
    if args.insecure:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as session:
        await connect(session, args)


if __name__ == "__main__":
    asyncio.run(main())
