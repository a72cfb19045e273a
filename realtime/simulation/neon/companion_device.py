"""Plays a clip and gaze as a Neon or Invisible on its phone does, over real sockets, also with faults."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import numpy as np
from aiohttp import web

from realtime.errors import SourceError
from realtime.simulation.calibration_wearer import SimulatedBias, TargetClip
from realtime.simulation.clip_player import ClipPlayer, bind_port, prepend_frame
from realtime.simulation.encoded_frames import EncodedFrame, load_ahead
from realtime.simulation.gaze_signal import SACCADE_S, GazeSignal
from realtime.simulation.neon.companion_server import DEVICE_NAME, CompanionServer, answer_time_echo
from realtime.simulation.neon.eye_payloads import KEEP_ALIVE, pack_blink, pack_gaze, pack_movement, pack_onset
from realtime.simulation.neon.rtsp_server import RtspServer, SendingFaults, ServedStream, packetize_nals
from realtime.simulation.neon.scene_video import SIZE, SceneEncoder, find_parameter_sets, split_nals
from realtime.simulation.table_scene import TableClip
from realtime.sources.gaze_files.trace import read_trace
from realtime.sources.gaze_files.trace_values import ClipFacts, TracePoint
from realtime.sources.video.video_reader import VideoFile

POLL_S = 0.02
KEEP_ALIVE_S = 1.0
SERVICE = "_http._tcp.local."
AnswerClient = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[None, None, None]]


@dataclass(frozen=True, slots=True)
class CompanionFaults:
    """How a simulated device differs from a good one.

    loss: share of packets that are lost, 0 to 1. clock_offset_s: of its wall clock to this computer's. restart_s: it
    goes away for two seconds whenever it has run for so long; 0 for never. is_invisible: it is a Pupil Invisible,
    without eye events and camera model. gaze_bytes: form of the gaze. has_scene_camera, has_time_echo, sends_reports:
    whether it has a scene camera, answers Time Echo and sends RTCP.
    """

    loss: float = 0.0
    clock_offset_s: float = 0.0
    restart_s: float = 0.0
    is_invisible: bool = False
    gaze_bytes: int = 9
    has_scene_camera: bool = True
    has_time_echo: bool = True
    sends_reports: bool = True

    def __post_init__(self) -> None:
        if not (0 <= self.loss < 1 and self.restart_s >= 0 and 9 <= self.gaze_bytes <= 1300):
            raise SourceError(f"loss must be 0 to 1, restart 0 or more seconds, got {self.loss:g}, {self.restart_s:g}")


class SimulatedNeon(ClipPlayer):
    """A simulated Neon: `start`, read `port`, `stop`; or `serve` until interrupted.

    It shows the clip at 1600 x 1200 and sends gaze as `SimulatedTracker` has it, at `rate_hz`, with onsets and blinks.
    `go_away` and `come_back` switch it off and on; `set_clock` sets its clock. sensors: those that are connected.
    epoch_s: the device's clock, unix seconds, minus the host's monotonic one.
    """

    def __init__(
        self,
        video: Path | VideoFile | TargetClip | TableClip,
        gaze: Path | Literal["wander"] = "wander",
        *,
        host: str = "127.0.0.1",
        port: int = 8080,
        rate_hz: float = 200.0,
        loop: bool = True,
        noise_px: float = 0.0,
        blink_every_s: float = 4.0,
        seed: int = 0,
        error: SimulatedBias | None = None,
        size: tuple[int, int] = SIZE,
        faults: CompanionFaults | None = None,
        announce: bool = False,
    ) -> None:
        """Encode the first frame and bind the port, 0 for a free one. Raises `SourceError`.

        announce: make it known in the network, so that `neon:` finds it; needs zeroconf, of the extra `neon`.
        """
        if announce and find_spec("zeroconf") is None:
            raise SourceError("--announce needs zeroconf, which is not installed: pip install -e '.[neon]'")
        clip = VideoFile(video) if isinstance(video, Path) else video
        trace = None if gaze == "wander" else read_trace(Path(gaze), ClipFacts(clip.size))
        faults = self._faults = faults or CompanionFaults()
        random = np.random.default_rng(seed)
        signal = GazeSignal(trace, rate_hz, noise_px, blink_every_s, error or SimulatedBias(), random)
        encoder = SceneEncoder(clip.fps, size)
        self._move_point = encoder.move_point if trace is not None else lambda x, y: (x, y)
        listener = bind_port(host, port)  # before a thread begins that would outlive a failure
        self._clip_frames = load_ahead(clip, seed if trace is None else None, loop=loop, encode=encoder.encode)
        first = next(self._clip_frames)
        super().__init__(prepend_frame(first, self._clip_frames), 1 / clip.fps, signal)
        self.epoch_s = time.time() - time.monotonic() + faults.clock_offset_s
        self._rtsp = self._make_streams(find_parameter_sets(first.picture))
        self.sensors = {"gaze"} | ({"world"} if faults.has_scene_camera else set())
        self.sensors |= set() if faults.is_invisible else {"eye_events"}
        self._server = CompanionServer(self.sensors, is_invisible=faults.is_invisible, time_echo=faults.has_time_echo)
        self._host, self._announce = host, announce
        self._is_away, self._is_listening = threading.Event(), threading.Event()
        self._listener: socket.socket | None = listener
        self.port = int(listener.getsockname()[1])
        self._blink_s: float | None = None
        self._planned: list[tuple[float, Literal["saccade", "fixation"]]] = []
        self._moved: tuple[Literal["saccade", "fixation"], float] | None = None
        self._alive_s = 0.0

    def _make_streams(self, parameter_sets: list[bytes]) -> RtspServer:
        streams = {
            "gaze": ServedStream("com.pupillabs.gaze1"),
            "eye_events": ServedStream("com.pupillabs.eye_events1"),
            "world": ServedStream("H264", parameter_sets),
        }
        faults = SendingFaults(self._faults.loss, self._faults.sends_reports)
        return RtspServer(streams, lambda at_s: at_s + self.epoch_s, time.monotonic, faults)

    def start(self) -> None:
        """Start to answer and to play."""
        super().start()
        self._is_listening.wait(10)

    def clock_s(self) -> float:
        """Read the device's clock, unix seconds."""
        return time.monotonic() + self.epoch_s

    def set_clock(self, change_s: float) -> None:
        """Set the device's clock forward, or back; streams follow with their next reports."""
        self.epoch_s += change_s

    def go_away(self) -> None:
        """Close all connections and ports, as when the phone leaves the network."""
        self._is_away.set()

    def come_back(self) -> None:
        """Open the same port again."""
        self._is_away.clear()

    # -- answers, on their own thread ---------------------------------------------------------------------------------

    def _answer(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        while not self._stop.is_set():
            if self._is_away.is_set():
                await asyncio.sleep(POLL_S)
                continue
            async with AsyncExitStack() as stack:
                await self._listen(stack)
                until_s = time.monotonic() + self._faults.restart_s if self._faults.restart_s else float("inf")
                while not (self._stop.is_set() or self._is_away.is_set() or time.monotonic() > until_s):
                    await asyncio.sleep(POLL_S)
            self._is_listening.clear()
            if time.monotonic() > until_s:
                await asyncio.sleep(2.0)

    async def _listen(self, stack: AsyncExitStack) -> None:
        """Open the servers; closing `stack` closes them with all connections."""
        clients: set[asyncio.Task[None]] = set()

        async def serve_client(
            answer: AnswerClient, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
        ) -> None:
            task = asyncio.ensure_future(answer(reader, writer))
            clients.add(task)
            with suppress(asyncio.CancelledError):
                await task
            clients.discard(task)

        async def end_clients() -> None:
            for _ in range(3):  # clients that had just connected become tasks meanwhile, and transports close
                for task in clients:
                    task.cancel()
                await asyncio.gather(*clients, return_exceptions=True)
                await asyncio.sleep(0)

        runner = web.AppRunner(self._server.make_app(), shutdown_timeout=0.1)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        stack.push_async_callback(end_clients)
        self._server.rtsp_port = await self._open_server(stack, partial(serve_client, self._rtsp.answer))
        echo = partial(answer_time_echo, self.clock_s)
        self._server.echo_port = await self._open_server(stack, partial(serve_client, echo))
        listener, self._listener = self._listener or bind_port(self._host, self.port), None
        await web.SockSite(runner, listener).start()
        if self._announce:
            await _announce(stack, self._host, self.port)
        self._is_listening.set()

    async def _open_server(self, stack: AsyncExitStack, answer: AnswerClient) -> int:
        """Open a TCP server on a free port, and return that."""
        server = await asyncio.start_server(answer, self._host, 0)
        stack.callback(server.close)
        return int(server.sockets[0].getsockname()[1])

    def _close(self) -> None:
        self._clip_frames.close()
        if self._listener is not None:
            self._listener.close()

    # -- data, on the player's thread ---------------------------------------------------------------------------------

    def _send(self, name: str, payload: bytes, at_s: float) -> None:
        if name in self.sensors:
            for sender in self._rtsp.playing(name):
                sender.send(payload, at_s)

    def _send_frame(self, frame: EncodedFrame) -> None:
        if "world" not in self.sensors:
            return
        payloads = packetize_nals(split_nals(frame.picture))
        for sender in self._rtsp.playing("world"):
            for number, payload in enumerate(payloads):
                sender.send(payload, self._started_s + frame.due_s, number == len(payloads) - 1)

    def _plan_gaze(self, frame: EncodedFrame, following: EncodedFrame | None, until_s: float) -> None:
        if following is not None and following.aim is not None and following.aim.jumped:
            start_s = until_s - min(SACCADE_S, until_s - frame.due_s)
            self._planned += [(start_s, "saccade"), (until_s, "fixation")]

    def _send_gaze(self, sample: TracePoint, size: tuple[int, int]) -> None:
        x, y = self._move_point(sample.x, sample.y)
        x, y, confidence = self._gaze.measure(replace(sample, x=x, y=y), size)
        at_s = self._started_s + sample.timestamp
        self._send("gaze", pack_gaze(x, y, True, self._faults.gaze_bytes), at_s)
        is_blink = confidence < 0.5
        if is_blink and self._blink_s is None:
            self._blink_s = at_s
        elif not is_blink and self._blink_s is not None:
            self._send("eye_events", pack_blink(self._unix_ns(self._blink_s), self._unix_ns(at_s)), at_s)
            self._blink_s = None
        while self._planned and self._planned[0][0] <= sample.timestamp:
            self._send_onset(*self._planned.pop(0), x, y)
        if at_s - self._alive_s > KEEP_ALIVE_S:
            self._send("eye_events", KEEP_ALIVE, at_s)
            self._alive_s = at_s

    def _send_onset(self, onset_s: float, kind: Literal["saccade", "fixation"], x: float, y: float) -> None:
        """Send the movement that ends here, and the onset of the next one."""
        at_s = self._started_s + onset_s
        if self._moved is not None:
            moved, since_s = self._moved
            movement = pack_movement(moved, self._unix_ns(since_s), self._unix_ns(at_s), x, y)
            self._send("eye_events", movement, at_s)
        self._send("eye_events", pack_onset(kind, self._unix_ns(at_s)), at_s)
        self._moved = kind, at_s

    def _unix_ns(self, at_s: float) -> int:
        return round((at_s + self.epoch_s) * 1e9)


async def _announce(stack: AsyncExitStack, host: str, port: int) -> None:
    """Make the device known by multicast DNS until `stack` closes."""
    from zeroconf import ServiceInfo
    from zeroconf.asyncio import AsyncZeroconf

    name = f"PI monitor:{DEVICE_NAME}:{port}.{SERVICE}"
    info = ServiceInfo(SERVICE, name, port, server="neon.local.", parsed_addresses=[host])
    network = AsyncZeroconf(interfaces=[host])
    stack.push_async_callback(network.async_close)
    await network.async_register_service(info)
    stack.push_async_callback(network.async_unregister_service, info)
