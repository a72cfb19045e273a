"""Plays a clip and gaze over real sockets, on a clock of its own, as an eye tracker does.

It answers as Pupil Capture's network API does, so that all of the project can be tried and tested without a headset.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import msgpack
import numpy as np

from calibration.objects.cloud import MILLIMETRE_M
from realtime.comms.sockets.pupil import PupilRemote, PupilServer
from realtime.errors import SourceError
from realtime.infra.interrupts import InterruptHandler
from realtime.simulation.calibration_wearer import SimulatedBias, TargetClip
from realtime.simulation.encoded_frames import EncodedFrame, load_ahead
from realtime.simulation.gaze_signal import GazeSignal
from realtime.simulation.table_scene import TableClip
from realtime.sources.gaze_files.trace import read_trace
from realtime.sources.gaze_files.trace_values import TracePoint
from realtime.sources.video.video_reader import VideoFile

if TYPE_CHECKING:
    from realtime.simulation.lsl_outlet import LslGazeOutlet

_MAX_LATE_S = 0.25


class SimulatedTracker:
    """A simulated eye tracker that plays a clip: `start`, read `port`, `stop`; or `serve` until interrupted.

    Its gaze is a trace file's points at their own times, or "wander" (see `wandering_gaze`) at `rate_hz`; to both are
    added slow noise of `noise_px` (one sd) and a blink of 150 ms every `blink_every_s` (0: none). In a `TargetClip` in
    place of the video the eyes follow the calibration targets, in a `TableClip` they dwell on the boxes, and it has
    depth: `frame.depth`. `error` is the tracker's bias. `lsl` names a stream of the Lab Streaming Layer that has the
    same gaze.
    """

    def __init__(
        self,
        video: Path | VideoFile | TargetClip | TableClip,
        gaze: Path | Literal["wander"] = "wander",
        *,
        host: str = "127.0.0.1",
        port: int = 50020,
        rate_hz: float = 200.0,
        loop: bool = True,
        noise_px: float = 0.0,
        blink_every_s: float = 4.0,
        seed: int = 0,
        error: SimulatedBias | None = None,
        lsl: str = "",
    ) -> None:
        """Check everything and bind the ports; 0 takes a free one. `SourceError` or `TransportError` if that fails."""
        if not 1 <= rate_hz <= 2000:
            raise SourceError(f"a gaze rate of {rate_hz:g} Hz; expected 1 to 2000")
        if not (0 <= noise_px <= 1000 and blink_every_s >= 0):
            raise SourceError(f"noise {noise_px:g} px, blinks every {blink_every_s:g} s; expected 0 or more")
        clip = VideoFile(video) if isinstance(video, Path) else video
        trace = None if gaze == "wander" else read_trace(Path(gaze))
        random = np.random.default_rng(seed)
        epoch_s = float(random.uniform(-5e3, 5e3))
        self._frame_s = 1 / clip.fps
        self._stop, self._ended = threading.Event(), threading.Event()
        self._frames = load_ahead(clip, seed if trace is None else None, loop=loop)
        self._failure: SourceError | None = None
        self._gaze = GazeSignal(trace, rate_hz, noise_px, blink_every_s, error or SimulatedBias(), random)
        self._started_s = 0.0
        self._threads: list[threading.Thread] = []
        self._frames_sent = 0
        self._outlet = _open_outlet(lsl) if lsl else None
        self._server = PupilServer(host, port)
        self._remote = PupilRemote(self._server, epoch_s)
        self.port, self.publish_port = self._server.port, self._server.publish_port

    def clock_s(self) -> float:
        """Read the device's clock."""
        return self._remote.clock_s()

    def start(self) -> None:
        """Start to answer and to play."""
        for work in (self._answer, self._play):
            thread = threading.Thread(target=work, name=f"simulator {work.__name__[1:]}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def stop(self) -> None:
        """Stop within a second and free the ports; stopping twice is fine."""
        self._stop.set()
        for thread in self._threads:
            thread.join(1.0)
        self._server.close()

    def serve(self, on_start: Callable[[], None] = lambda: None) -> None:
        """Play until the clip has ended, SIGINT or SIGTERM, then stop; `SourceError` if the clip went away.

        on_start: called when it plays and can be interrupted.
        """
        with InterruptHandler() as interrupts:
            try:
                self.start()
                on_start()
                while not (self._ended.wait(0.1) or interrupts.is_requested):
                    pass
            finally:
                self.stop()
        if self._failure:
            raise self._failure

    def _answer(self) -> None:
        while not self._stop.is_set():
            self._server.serve_request(self._remote.reply, 0.1)

    def _play(self) -> None:
        try:
            with contextlib.closing(self._frames):
                self._send_frames()
        except SourceError as error:
            self._failure = error
        finally:
            self._ended.set()

    def _send_frames(self) -> None:
        """Send frames and gaze when they are due."""
        frame = next(self._frames, None)
        self._started_s = time.monotonic()
        while frame is not None and self._wait_until(frame.due_s):
            self._send_frame(frame)
            following = next(self._frames, None)
            until_s = following.due_s if following else frame.due_s + self._frame_s
            for sample in self._gaze.samples_between(frame, following, until_s):
                if not self._wait_until(sample.timestamp):
                    break
                self._send_gaze(sample, frame.size)
            while self._remote.forwarded:
                self._server.send(self._remote.forwarded.popleft())
            frame = following

    def _wait_until(self, due_s: float) -> bool:
        """Wait for an instant of the timeline; False when stopped.

        A player that cannot keep up slows the whole timeline down, so that gaze and picture still agree.
        """
        late_s = time.monotonic() - self._started_s - due_s
        if late_s > _MAX_LATE_S:
            self._started_s += late_s
        return not self._stop.wait(max(0.0, -late_s))

    def _timestamp_s(self, due_s: float) -> float:
        return self._started_s + due_s + self._remote.epoch_s

    def _send_frame(self, frame: EncodedFrame) -> None:
        (width, height), timestamp = frame.size, self._timestamp_s(frame.due_s)
        head = {"width": width, "height": height, "index": self._frames_sent, "timestamp": timestamp}
        self._send({"topic": "frame.world", **head, "format": "jpeg"}, frame.jpeg)
        if frame.depth is not None:
            self._send({"topic": "frame.depth", **head, "format": "depth16", "depth_scale": MILLIMETRE_M}, frame.depth)
        self._frames_sent += 1

    def _send_gaze(self, sample: TracePoint, size: tuple[int, int]) -> None:
        x, y, confidence = self._gaze.measure(sample, size)
        measured = {"confidence": confidence, "timestamp": self._timestamp_s(sample.timestamp)}
        if self._outlet is not None:
            self._outlet.send(x, y, confidence, round((self._started_s + sample.timestamp) * 1e9))
        pupils = [
            {"topic": f"pupil.{eye}.2d", "id": eye, "method": "2d simulated", "norm_pos": [0.5, 0.5], **measured}
            for eye in (0, 1)
        ]
        norm_pos = [x / size[0], 1 - y / size[1]]
        self._send({"topic": "gaze.2d.01.", "norm_pos": norm_pos, **measured, "base_data": pupils})

    def _send(self, fields: dict[str, Any], *pixels: bytes) -> None:
        self._server.send([fields["topic"].encode(), msgpack.packb(fields), *pixels])


def _open_outlet(name: str) -> LslGazeOutlet:
    try:
        from realtime.simulation.lsl_outlet import LslGazeOutlet
    except ModuleNotFoundError:
        raise SourceError("--lsl needs pylsl, which is not installed: pip install -e '.[lsl]'") from None
    return LslGazeOutlet(name)
