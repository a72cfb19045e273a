"""Plays a clip and gaze over real sockets, on a clock of its own, as an eye tracker does.

It answers as Pupil Capture's network API does, so that all of the project can be tried and tested without a headset.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import msgpack
import numpy as np

from calibration.objects.cloud import MILLIMETRE_M
from realtime.comms.sockets.pupil import PupilRemote, PupilServer
from realtime.errors import SourceError
from realtime.simulation.calibration_wearer import SimulatedBias, TargetClip
from realtime.simulation.clip_player import ClipPlayer
from realtime.simulation.encoded_frames import EncodedFrame, load_ahead
from realtime.simulation.gaze_signal import GazeSignal
from realtime.simulation.table_scene import TableClip
from realtime.sources.gaze_files.trace import read_trace
from realtime.sources.gaze_files.trace_values import ClipFacts, TracePoint
from realtime.sources.video.video_reader import VideoFile

if TYPE_CHECKING:
    from realtime.simulation.lsl_outlet import LslGazeOutlet


class SimulatedTracker(ClipPlayer):
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
        clip = VideoFile(video) if isinstance(video, Path) else video
        trace = None if gaze == "wander" else read_trace(Path(gaze), ClipFacts(clip.size))
        random = np.random.default_rng(seed)
        epoch_s = float(random.uniform(-5e3, 5e3))
        gaze_signal = GazeSignal(trace, rate_hz, noise_px, blink_every_s, error or SimulatedBias(), random)
        super().__init__(load_ahead(clip, seed if trace is None else None, loop=loop), 1 / clip.fps, gaze_signal)
        self._frames_sent = 0
        self._outlet = _open_outlet(lsl) if lsl else None
        self._server = PupilServer(host, port)
        self._remote = PupilRemote(self._server, epoch_s)
        self.port, self.publish_port = self._server.port, self._server.publish_port

    def clock_s(self) -> float:
        """Read the device's clock."""
        return self._remote.clock_s()

    def _answer(self) -> None:
        while not self._stop.is_set():
            self._server.serve_request(self._remote.reply, 0.1)

    def _close(self) -> None:
        self._server.close()

    def _finish_frame(self) -> None:
        while self._remote.forwarded:
            self._server.send(self._remote.forwarded.popleft())

    def _timestamp_s(self, due_s: float) -> float:
        return self._started_s + due_s + self._remote.epoch_s

    def _send_frame(self, frame: EncodedFrame) -> None:
        (width, height), timestamp = frame.size, self._timestamp_s(frame.due_s)
        head = {"width": width, "height": height, "index": self._frames_sent, "timestamp": timestamp}
        self._send({"topic": "frame.world", **head, "format": "jpeg"}, frame.picture)
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
