"""Plays a clip and gaze as Tobii Pro Glasses 3 do, over real sockets, also with faults."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from aiohttp import web

from realtime.simulation.calibration_wearer import SimulatedBias, TargetClip
from realtime.simulation.clip_player import ClipPlayer, bind_port, prepend_frame
from realtime.simulation.encoded_frames import EncodedFrame, load_ahead
from realtime.simulation.gaze_signal import GazeSignal
from realtime.simulation.neon.rtsp_server import packetize_nals
from realtime.simulation.neon.scene_video import SceneEncoder, find_parameter_sets, split_nals
from realtime.simulation.table_scene import TableClip
from realtime.simulation.tobii.control_server import ControlServer
from realtime.simulation.tobii.live_server import GAZE, MOVEMENTS, SCENE, LiveServer
from realtime.sources.gaze_files.trace import read_trace
from realtime.sources.gaze_files.trace_values import TracePoint
from realtime.sources.video.video_reader import VideoFile

SIZE = (1920, 1080)
POLL_S = 0.02
_IMU = json.dumps({"accelerometer": [0.1, -9.8, 0.2], "gyroscope": [0.0, 0.0, 0.0]}).encode()


@dataclass(frozen=True, slots=True)
class GlassesFaults:
    """How simulated glasses differ from good ones.

    clock_offset_s: of their wall clock to this computer's. sends_reports: whether they send RTCP, which has the time.
    encoder_s: time that the scene camera's encoder takes, by which pictures come later than gaze. is_udp: whether they
    send over UDP only.
    """

    clock_offset_s: float = 0.0
    sends_reports: bool = True
    encoder_s: float = 0.0
    is_udp: bool = False


class SimulatedGlasses(ClipPlayer):
    """Simulated Tobii Pro Glasses 3: `start`, read `port`, `stop`; or `serve` until interrupted.

    They show the clip at 1920 x 1080 and send gaze as `SimulatedTracker` has it, at `rate_hz`, empty in blinks.
    `go_away` and `come_back` switch them off and on; `send_data` sends what a test wants.
    """

    def __init__(
        self,
        video: Path | VideoFile | TargetClip | TableClip,
        gaze: Path | Literal["wander"] = "wander",
        *,
        host: str = "127.0.0.1",
        port: int = 8554,
        control_port: int | None = None,
        rate_hz: float = 50.0,
        loop: bool = True,
        noise_px: float = 0.0,
        blink_every_s: float = 4.0,
        seed: int = 0,
        error: SimulatedBias | None = None,
        size: tuple[int, int] = SIZE,
        faults: GlassesFaults | None = None,
    ) -> None:
        """Encode the first frame and bind the port, 0 for a free one. Raises `SourceError`.

        control_port: of the WebSocket, which real glasses have at port 80; None for none.
        """
        clip = VideoFile(video) if isinstance(video, Path) else video
        trace = None if gaze == "wander" else read_trace(Path(gaze))
        self._faults = faults or GlassesFaults()
        signal = GazeSignal(
            trace, rate_hz, noise_px, blink_every_s, error or SimulatedBias(), np.random.default_rng(seed)
        )
        encode = SceneEncoder(clip.fps, size).encode
        listener = bind_port(host, port)  # before a thread begins that would outlive a failure
        self._control = None if control_port is None else bind_port(host, control_port)
        self._clip_frames = load_ahead(clip, seed if trace is None else None, loop=loop, encode=encode)
        first = next(self._clip_frames)
        super().__init__(prepend_frame(first, self._clip_frames), 1 / clip.fps, signal)
        self._epoch_s = time.time() - time.monotonic() + self._faults.clock_offset_s
        self._server = LiveServer(
            find_parameter_sets(first.picture), lambda at_s: at_s + self._epoch_s, time.monotonic,
            sends_reports=self._faults.sends_reports, is_udp=self._faults.is_udp,
        )  # fmt: skip
        self._host, self._is_away = host, threading.Event()
        self._listener: socket.socket | None = listener
        self.port = int(listener.getsockname()[1])
        self.control = ControlServer()
        self.control_port = self._control.getsockname()[1] if self._control is not None else 0
        self._delayed: list[tuple[float, list[bytes], float]] = []
        self.is_scene_on = self.is_gaze_on = True

    def clock_s(self) -> float:
        """Read the clock of the glasses, unix seconds."""
        return time.monotonic() + self._epoch_s

    def go_away(self) -> None:
        """Close the port and all connections, as when the glasses leave the network."""
        self._is_away.set()

    def come_back(self) -> None:
        """Open the same port again."""
        self._is_away.clear()

    def send_data(self, payload: bytes, stream: int = GAZE) -> None:
        """Send a packet to everybody who plays a stream."""
        for client in self._server.playing():
            client.send(stream, [payload], time.monotonic())

    # -- answers, on their own thread ---------------------------------------------------------------------------------

    def _answer(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        runner = web.AppRunner(self.control.make_app(), shutdown_timeout=0.1)
        await runner.setup()
        if self._control is not None:
            await web.SockSite(runner, self._control).start()
        try:
            await self._serve_streams()
        finally:
            await runner.cleanup()

    async def _serve_streams(self) -> None:
        while not self._stop.is_set():
            if self._is_away.is_set():
                await asyncio.sleep(POLL_S)
                continue
            listener, self._listener = self._listener or bind_port(self._host, self.port), None
            clients: set[asyncio.Task[None]] = set()

            async def serve_client(
                reader: asyncio.StreamReader, writer: asyncio.StreamWriter, clients: set[asyncio.Task[None]] = clients
            ) -> None:
                task = asyncio.ensure_future(self._server.answer(reader, writer))
                clients.add(task)
                with suppress(asyncio.CancelledError):
                    await task
                clients.discard(task)

            server = await asyncio.start_server(serve_client, sock=listener)
            while not (self._stop.is_set() or self._is_away.is_set()):
                await asyncio.sleep(POLL_S)
            server.close()
            for _ in range(3):  # clients that had just connected become tasks meanwhile, and transports close
                for task in clients:
                    task.cancel()
                await asyncio.gather(*clients, return_exceptions=True)
                await asyncio.sleep(0)

    def _close(self) -> None:
        self._clip_frames.close()
        for listener in (self._listener, self._control):
            if listener is not None:
                listener.close()

    # -- data, on the player's thread ---------------------------------------------------------------------------------

    def _send_frame(self, frame: EncodedFrame) -> None:
        if not self.is_scene_on:
            return
        at_s = self._started_s + frame.due_s
        self._delayed.append((at_s + self._faults.encoder_s, packetize_nals(split_nals(frame.picture)), at_s))
        self._send_delayed()

    def _send_delayed(self) -> None:
        while self._delayed and self._delayed[0][0] <= time.monotonic():
            _, payloads, at_s = self._delayed.pop(0)
            for client in self._server.playing():
                client.send(SCENE, payloads, at_s)

    def _send_gaze(self, sample: TracePoint, size: tuple[int, int]) -> None:
        self._send_delayed()
        at_s = self._started_s + sample.timestamp
        x, y, confidence = self._gaze.measure(sample, size)
        eye = {"gazeorigin": [31.0, -20.0, -28.0], "gazedirection": [0.0, 0.0, 1.0], "pupildiameter": 3.4}
        gaze = {"gaze2d": [x / size[0], y / size[1]], "gaze3d": [0.0, 0.0, 800.0], "eyeleft": eye, "eyeright": eye}
        payload = json.dumps(gaze if confidence >= 0.5 else {}).encode()
        for client in self._server.playing() if self.is_gaze_on else ():
            client.send(GAZE, [payload], at_s)
            client.send(MOVEMENTS, [_IMU], at_s)
