"""Plays clips and gaze in real time as a Pupil-compatible device, and logs every message sent."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgpack
import numpy as np

from benchmarks.streaming_eval.clips import Clip
from benchmarks.streaming_eval.gaze import GAZE_HZ, SimulatedGaze, is_blink
from benchmarks.streaming_eval.playback import WARM_UP_FRAMES, GazeDwell, PlaybackLog, ScoredMoment, SentFrame
from realtime.comms.sockets.pupil import PupilRemote, PupilServer

SETTLE_S = 0.3
QUEUE = 8
"""Messages queued per subscriber, as on a device with little memory."""


class NoMasksError(Exception):
    """Raised when the program ends or publishes no mask in time."""


@dataclass(frozen=True, slots=True, eq=False)
class NewestInput:
    """Holds the newest frame and the newest gaze with open eyes, for loops in this process."""

    index: int
    jpeg: bytes
    shape: tuple[int, int]
    gaze_px: tuple[float, float]
    gaze_s: float


class ClipDevice:
    """A device that plays clips and logs what it sends.

    `port` is the remote's. `run` plays everything and then sets `stop`.
    """

    def __init__(self, clips: Sequence[Clip], gaze: dict[str, SimulatedGaze], fps: float, seed: int) -> None:
        self.stop = threading.Event()
        self.newest: NewestInput | None = None
        self.played = PlaybackLog(fps, float(np.random.default_rng(seed).uniform(-5e3, 5e3)))
        self._clips, self._gaze, self._fps = clips, gaze, fps
        self._server = PupilServer("127.0.0.1", 0, queue=QUEUE)
        self._remote = PupilRemote(self._server, self.played.epoch_s)
        self.port = self._server.port
        self._index = self._samples = self._plays = 0
        self._thread = threading.Thread(target=self._serve_requests, name="remote", daemon=True)
        self._thread.start()

    def run(self, ready: Callable[[], bool], dead: Callable[[], bool], timeout_s: float) -> None:
        """Repeat the first clip until `ready`, then play every clip once, scored.

        Raises `NoMasksError` when the program is `dead`, or not ready within the timeout.
        """
        end_s = time.monotonic() + timeout_s
        while not ready():
            if dead():
                raise NoMasksError("the program ended before its first mask")
            if time.monotonic() > end_s:
                raise NoMasksError(f"no mask within {timeout_s:.0f} s")
            self._play(self._clips[0], scored=False)
        for clip in self._clips:
            self._play(clip, scored=True)
        time.sleep(SETTLE_S)
        self.stop.set()

    def close(self) -> None:
        """Free the ports."""
        self.stop.set()
        self._thread.join(1.0)
        self._server.close()

    def _serve_requests(self) -> None:
        while not self.stop.is_set():
            self._server.serve_request(self._remote.reply, 0.1)

    def _play(self, clip: Clip, *, scored: bool) -> None:
        """Send frames when they are due, and gaze at its rate, until the last frame's time is over."""
        self._plays += 1
        gaze, start_s = self._gaze[clip.name], time.monotonic()
        if scored:
            self.played.moments += scored_moments(clip, gaze, self._fps, start_s, self._plays)
            self.played.dwells += gaze_dwells(gaze, len(clip) / self._fps, start_s, self._plays)
        number, sample = -1, 0
        while not self.stop.is_set():
            now_s = time.monotonic() - start_s
            while number + 1 < len(clip) and (number + 1) / self._fps <= now_s:
                number += 1
                self._send_frame(clip, number)
            if number + 1 >= len(clip) and now_s >= len(clip) / self._fps:
                return
            self._send_gaze(clip, gaze, max(0, number), sample)
            sample += 1
            time.sleep(max(0.0, start_s + sample / GAZE_HZ - time.monotonic()))

    def _send_frame(self, clip: Clip, number: int) -> None:
        width, height = clip.size
        head = {
            "topic": "frame.world", "width": width, "height": height, "index": self._index,
            "timestamp": self._remote.clock_s(), "format": "jpeg",
        }  # fmt: skip
        self.played.sent[self._index] = SentFrame(time.monotonic(), clip, number, self._plays)
        self._server.send([b"frame.world", msgpack.packb(head), clip.jpegs[number]])
        self._index += 1

    def _send_gaze(self, clip: Clip, gaze: SimulatedGaze, number: int, sample: int) -> None:
        x, y = map(float, gaze.points_px[min(sample, len(gaze.points_px) - 1)])
        (width, height), blinks, at_s = clip.size, is_blink(self._samples), self._remote.clock_s()
        self.played.gaze_s.add(round(at_s, 4))
        datum = {
            "topic": "gaze.2d.01.", "norm_pos": [x / width, 1 - y / height], "confidence": 0.0 if blinks else 0.95,
            "timestamp": at_s, "base_data": [],
        }  # fmt: skip
        self._server.send([b"gaze.2d.01.", msgpack.packb(datum)])
        if blinks and self.newest is not None:
            x, y = self.newest.gaze_px
        self.newest = NewestInput(self._index - 1, clip.jpegs[number], (height, width), (x, y), at_s)
        self._samples += 1


def scored_moments(clip: Clip, gaze: SimulatedGaze, fps: float, start_s: float, play: int) -> list[ScoredMoment]:
    """List when each frame after the warm-up is scored, in a clip that starts at `start_s`."""
    ends = [(number, (number + 1) / fps) for number in range(WARM_UP_FRAMES, len(clip))]
    return [ScoredMoment(start_s + end_s, clip, number, gaze.object_at(end_s), play) for number, end_s in ends]


def gaze_dwells(gaze: SimulatedGaze, length_s: float, start_s: float, play: int) -> list[GazeDwell]:
    """List the gaze dwells of a clip that starts at `start_s` and lasts `length_s`."""
    ends = [at_s for at_s, _ in gaze.saccade_ends[1:]] + [length_s]
    return [
        GazeDwell(play, object_id, start_s + at_s, start_s + end_s, first=at_s == 0)
        for (at_s, object_id), end_s in zip(gaze.saccade_ends, ends, strict=True)
    ]
