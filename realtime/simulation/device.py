"""A Pupil-compatible device in software: plays a clip and a gaze over real sockets, on a clock of its own.

It answers as Pupil Capture's network API does, so that all of the project can be tried and tested without a headset.
"""

from __future__ import annotations

import itertools
import math
import queue
import threading
import time
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Literal

import msgpack
import numpy as np

from realtime.comms.sockets.pupil import PupilRemote, PupilServer
from realtime.errors import SourceError
from realtime.simulation.calibration_wearer import SimulatedBias, TargetClip
from realtime.simulation.encoded_frames import EncodedFrame, encode_frames
from realtime.simulation.table_scene import TableClip
from realtime.simulation.wandering_gaze import GazeAim
from realtime.sources.gaze_csv import read_trace
from realtime.sources.opencv_capture import VideoFile

CACHE_BYTES = 256 * 2**20
BLINK_S = 0.15
SACCADE_S = 0.04
CONFIDENCE = 0.95
_AHEAD = 32
_LATE_S = 0.25
_NOISE_MEMORY = 0.9


class SimulatedTracker:
    """The device. `start` it, read `port`, `stop` it; or `serve` until interrupted.

    Its gaze is a trace file's points at their own times, or "wander" (see `wandering_gaze`) at `rate_hz`; to both are
    added slow noise of `noise_px` (one sd) and a blink of 150 ms every `blink_every_s` (0: none). A `TargetClip` in
    place of the video is looked at as a wearer does who calibrates, a `TableClip` as one does who wants things
    fetched, and has depth: `frame.depth`. `error` is how far off the tracker is.
    """

    def __init__(
        self,
        video: Path | TargetClip | TableClip,
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
    ) -> None:
        """Check everything and bind the ports; 0 takes a free one. `SourceError` or `TransportError` if that fails."""
        if not 1 <= rate_hz <= 2000:
            raise SourceError(f"a gaze rate of {rate_hz:g} Hz; expected 1 to 2000")
        if not (0 <= noise_px <= 1000 and blink_every_s >= 0):
            raise SourceError(f"noise {noise_px:g} px, blinks every {blink_every_s:g} s; expected 0 or more")
        self._clip = video if isinstance(video, TargetClip | TableClip) else VideoFile(video)
        self._error = error or SimulatedBias()
        self._trace = None if gaze == "wander" else read_trace(Path(gaze))
        self._rate_hz, self._loop, self._seed = rate_hz, loop, seed
        self._noise_px, self._blink_every_s = noise_px, blink_every_s
        self._random = np.random.default_rng(seed)
        epoch_s = float(self._random.uniform(-5e3, 5e3))
        self._noise = np.zeros(2)
        self._started_s = 0.0
        self._shots: queue.Queue[EncodedFrame | None] = queue.Queue(_AHEAD)
        self._failure: SourceError | None = None
        self._stop, self._ended = threading.Event(), threading.Event()
        self._threads: list[threading.Thread] = []
        self.frames_sent = self.gaze_sent = 0
        self._server = PupilServer(host, port)
        self._remote = PupilRemote(self._server, epoch_s)
        self.port, self.publish_port = self._server.port, self._server.publish_port

    def clock_s(self) -> float:
        """The device's time now."""
        return self._remote.clock_s()

    @property
    def has_ended(self) -> bool:
        """The clip is over and is not to be repeated."""
        return self._ended.is_set()

    def start(self) -> None:
        """Begin to answer and to play."""
        for work in (self._answer, self._load, self._play):
            thread = threading.Thread(target=work, name=f"simulator {work.__name__[1:]}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def stop(self) -> None:
        """End within a second and free the ports; stopping twice is fine."""
        self._stop.set()
        for thread in self._threads:
            thread.join(1.0)
        self._server.close()

    def serve(self) -> None:
        """Play until the clip has ended or Ctrl-C is pressed, then stop; `SourceError` if the clip went away."""
        try:
            self.start()
            while not self._ended.wait(0.2):
                pass
        except KeyboardInterrupt:
            pass
        finally:
            self.stop()
        if self._failure:
            raise self._failure

    def _answer(self) -> None:
        while not self._stop.is_set():
            self._server.serve_request(self._remote.reply, 0.1)

    def _load(self) -> None:
        """Keep a few frames decoded and encoded ahead of the player; None is the end."""
        try:
            for shot in self._all_shots():
                if not self._put(shot):
                    return
        except SourceError as error:
            self._failure = error
        finally:
            self._put(None)

    def _put(self, shot: EncodedFrame | None) -> bool:
        while not self._stop.is_set():
            try:
                self._shots.put(shot, timeout=0.1)
            except queue.Full:
                continue
            return True
        return False

    def _next_shot(self) -> EncodedFrame | None:
        while not self._stop.is_set():
            try:
                return self._shots.get(timeout=0.1)
            except queue.Empty:
                continue
        return None

    def _all_shots(self) -> Iterator[EncodedFrame]:
        """Every frame of every repetition; the first pass is kept if it fits into `CACHE_BYTES`."""
        start_s, kept, cached = 0.0, list[EncodedFrame](), False
        while True:
            last_s, size = 0.0, 0
            for shot in kept if cached else encode_frames(self._clip, self._seed if self._trace is None else None):
                last_s, size = shot.at_s, size + shot.nbytes
                if not cached and size <= CACHE_BYTES:
                    kept.append(shot)
                elif not cached:
                    kept.clear()
                yield replace(shot, start_s=start_s)
            cached = size <= CACHE_BYTES
            start_s += last_s + 1 / self._clip.fps
            if not self._loop:
                return

    def _play(self) -> None:
        """Send frames and gaze when they are due."""
        shot = self._next_shot()
        self._started_s = time.monotonic()
        while shot is not None and self._wait_until(shot.due_s):
            self._send_frame(shot)
            coming = self._next_shot()
            until_s = coming.due_s if coming else shot.due_s + 1 / self._clip.fps
            for due_s, x, y, confidence in self._looks(shot, coming, until_s):
                if not self._wait_until(due_s):
                    break
                self._send_gaze(shot.size, due_s, x, y, confidence)
            while self._remote.forwarded:
                self._server.send(self._remote.forwarded.popleft())
            shot = coming
        self._ended.set()

    def _wait_until(self, due_s: float) -> bool:
        """Wait for an instant of the timeline; False when stopped.

        A player that cannot keep up slows the whole timeline down, so that gaze and picture still agree.
        """
        late_s = time.monotonic() - self._started_s - due_s
        if late_s > _LATE_S:
            self._started_s += late_s
        return not self._stop.wait(max(0.0, -late_s))

    def _looks(
        self, shot: EncodedFrame, coming: EncodedFrame | None, until_s: float
    ) -> Iterator[tuple[float, float, float, float]]:
        """(due second, x px, y px, confidence) of the gaze while `shot` is on show."""
        if self._trace is not None:
            first = bisect_left(self._trace, shot.at_s, key=lambda point: point.timestamp)
            for point in itertools.islice(self._trace, first, None):
                if shot.start_s + point.timestamp >= until_s:
                    return
                yield shot.start_s + point.timestamp, point.x, point.y, point.confidence
            return
        here = shot.aim or GazeAim(0.0, 0.0, True)
        there = coming.aim if coming and coming.aim else here
        for number in itertools.count(math.ceil(shot.due_s * self._rate_hz)):
            due_s = number / self._rate_hz
            if due_s >= until_s:
                return
            # The eyes follow what moves evenly, and change to something else in one quick saccade.
            lasts_s = min(SACCADE_S, until_s - shot.due_s) if there.jumped else until_s - shot.due_s
            part = min(1.0, max(0.0, 1 - (until_s - due_s) / lasts_s))
            yield due_s, here.x + part * (there.x - here.x), here.y + part * (there.y - here.y), CONFIDENCE

    def _send_frame(self, shot: EncodedFrame) -> None:
        kinds = [("frame.world", "jpeg", shot.jpeg), ("frame.depth", "depth16", shot.depth)]
        for topic, form, pixels in kinds:
            if pixels is None:
                continue
            head = {
                "topic": topic,
                "width": shot.size[0],
                "height": shot.size[1],
                "index": self.frames_sent,
                "timestamp": self._started_s + shot.due_s + self._remote.epoch_s,
                "format": form,
            }
            self._server.send([topic.encode(), msgpack.packb(head), pixels])
        self.frames_sent += 1

    def _send_gaze(self, size: tuple[int, int], due_s: float, x: float, y: float, confidence: float) -> None:
        if self._blink_every_s and due_s % self._blink_every_s >= self._blink_every_s - BLINK_S:
            confidence = 0.0
        step = self._noise_px * math.sqrt(1 - _NOISE_MEMORY**2)
        self._noise = _NOISE_MEMORY * self._noise + self._random.normal(0, step, 2)
        timestamp = self._started_s + due_s + self._remote.epoch_s
        x, y = self._error.measure(x, y, size)
        datum = {
            "norm_pos": [(x + float(self._noise[0])) / size[0], 1 - (y + float(self._noise[1])) / size[1]],
            "confidence": confidence,
            "timestamp": timestamp,
        }
        pupils = [
            {"topic": f"pupil.{eye}.2d", "id": eye, "method": "2d simulated", "norm_pos": [0.5, 0.5]}
            | {"confidence": confidence, "timestamp": timestamp}
            for eye in (0, 1)
        ]
        message = {"topic": "gaze.2d.01.", **datum, "base_data": pupils}
        self._server.send([b"gaze.2d.01.", msgpack.packb(message)])
        self.gaze_sent += 1
