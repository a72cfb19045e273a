"""An eye tracker that a fault silences, restarts or sets to another time."""

from __future__ import annotations

import threading
import time
from functools import cache
from typing import Any

import cv2
import msgpack
import numpy as np

from realtime.comms.sockets.pupil import PupilRemote, PupilServer
from tests.realtime import scene

GAZE_HZ, GAZE_PER_FRAME = 120, 4
FRAMES = 200
NOISE_PX = 1.0
"""Standard deviation of the gaze: eyes and their trackers are never still."""


@cache
def _jpegs() -> list[bytes]:
    return [cv2.imencode(".jpg", scene.picture(index))[1].tobytes() for index in range(FRAMES)]


class FaultyDevice:
    """Plays the scene at 30 Hz and gaze on its disc at 120 Hz, from threads of its own.

    sent_ns: host time at which each frame was sent, by its timestamp; read it from any thread.
    """

    def __init__(self, host: str = "127.0.0.1", port: int = 0) -> None:
        _jpegs()
        self._host = host
        self.sends_frames = self.sends_gaze = True
        self.sent_ns: dict[float, int] = {}
        self.frame_count = 0
        self._epoch_s = 1000.0
        self._noise = np.random.default_rng(0)
        self._open(port)

    def _open(self, port: int) -> None:
        self._server = PupilServer(self._host, port)
        self._remote = PupilRemote(self._server, self._epoch_s)
        self.port, self.publish_port = self._server.port, self._server.publish_port
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=body, daemon=True) for body in (self._answer, self._play)]
        for thread in self._threads:
            thread.start()

    def shift_clock(self, seconds: float) -> None:
        """Set the device's clock; later timestamps and answers have the new time."""
        self._epoch_s += seconds
        self._remote.epoch_s = self._epoch_s

    def kill(self) -> None:
        """Close the sockets as a crash does."""
        self._stop.set()
        for thread in self._threads:
            thread.join()
        self._server.close()

    def restart(self) -> None:
        """Open at the same address again; the feed's port is another one."""
        self._open(self.port)

    def _answer(self) -> None:
        while not self._stop.is_set():
            self._server.serve_request(self._remote.reply, 0.02)

    def _play(self) -> None:
        due_s, tick = time.monotonic(), 0
        while not self._stop.wait(max(0.0, due_s - time.monotonic())):
            due_s = max(due_s, time.monotonic() - 0.5) + 1 / GAZE_HZ
            if tick % GAZE_PER_FRAME == 0:
                self.frame_count += 1
                if self.sends_frames:
                    self._send_frame(self.frame_count)
            if self.sends_gaze:
                self._send_gaze(self.frame_count + tick % GAZE_PER_FRAME / GAZE_PER_FRAME)
            tick += 1

    def _send_frame(self, index: int) -> None:
        timestamp = self._remote.clock_s()
        self.sent_ns[timestamp] = time.monotonic_ns()
        width, height = scene.SIZE
        head = {"topic": "frame.world", "width": width, "height": height, "index": index, "timestamp": timestamp}
        self._send({**head, "format": "jpeg"}, _jpegs()[index % FRAMES])

    def _send_gaze(self, index: float) -> None:
        x, y = (np.array(scene.centre(index % FRAMES)) + self._noise.normal(0, NOISE_PX, 2)) / scene.SIZE
        fields = {"confidence": 0.95, "timestamp": self._remote.clock_s(), "base_data": []}
        self._send({"topic": "gaze.2d.01.", "norm_pos": [float(x), float(1 - y)], **fields})

    def _send(self, fields: dict[str, Any], *raw: bytes) -> None:
        self._server.send([fields["topic"].encode(), msgpack.packb(fields), *raw])
