"""An eye tracker that sends at high rates: python -m benchmarks.whole_program.device --size 1920x1080 --frames-hz 120.

Its pictures are encoded before the start, so that sending costs little. It prints its port, and once a second a line
of JSON: how many frames and gaze samples were sent, of how many that were due.
"""

from __future__ import annotations

import argparse
import json
import threading
import time
from typing import Any

import cv2
import msgpack
import numpy as np

from realtime.comms.sockets.pupil import PupilRemote, PupilServer

FRAMES = 60
NOISE_PX = 1.0
"""Standard deviation of the gaze: eyes and their trackers are never still."""
MAX_LAG_S = 0.5
"""What is later than this is not sent any more."""


def compute_centre(index: float, size: tuple[int, int]) -> tuple[float, float]:
    """Compute the disc's centre in a frame, px: on a circle, back at its start after all frames."""
    angle = 2 * np.pi * index / FRAMES
    return size[0] * (0.5 + 0.15 * np.cos(angle)), size[1] * (0.5 + 0.15 * np.sin(angle))


def draw_frames(size: tuple[int, int]) -> list[bytes]:
    """Draw a textured disc on a textured ground, as JPEGs."""
    rng = np.random.default_rng(7)
    small = rng.integers(40, 140, (size[1] // 4, size[0] // 4, 3), np.uint8)
    ground = cv2.GaussianBlur(cv2.resize(small, size), (0, 0), 2)
    radius, jpegs = size[1] // 6, []
    for index in range(FRAMES):
        image, centre = ground.copy(), tuple(round(place) for place in compute_centre(index, size))
        cv2.circle(image, centre, radius, (30, 30, 200), -1, cv2.LINE_AA)
        for angle in np.arange(0, 2 * np.pi, 0.7):
            dot = round(centre[0] + 0.6 * radius * np.cos(angle)), round(centre[1] + 0.6 * radius * np.sin(angle))
            cv2.circle(image, dot, radius // 10, (30, 30, 150), -1, cv2.LINE_AA)
        jpegs.append(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 80])[1].tobytes())
    return jpegs


class FastDevice:
    """Sends frames and gaze on one schedule, until the process ends."""

    def __init__(self, size: tuple[int, int], frames_hz: float, gaze_hz: float) -> None:
        self._size, self._frames_hz, self._gaze_hz = size, frames_hz, gaze_hz
        self._jpegs = draw_frames(size)
        self._noise = np.random.default_rng(0)
        self._server = PupilServer("127.0.0.1", 0)
        self._remote = PupilRemote(self._server, 1000.0)
        self.port = self._server.port
        self.sent = {"frames": 0, "gaze": 0, "frames_due": 0, "gaze_due": 0}

    def serve(self) -> None:
        """Answer requests and send."""
        threading.Thread(target=self._answer, daemon=True).start()
        due_s = printed_s = time.monotonic()
        frames_left = 0.0
        while True:
            time.sleep(max(0.0, due_s - time.monotonic()))
            is_late = time.monotonic() - due_s > MAX_LAG_S
            due_s += 1 / self._gaze_hz
            frames_left += self._frames_hz / self._gaze_hz
            if frames_left >= 1:
                frames_left -= 1
                self._count("frames", is_late, self._send_frame)
            self._count("gaze", is_late, self._send_gaze)
            if time.monotonic() - printed_s >= 1:
                printed_s = time.monotonic()
                print(json.dumps(self.sent), flush=True)

    def _count(self, kind: str, is_late: bool, send: Any) -> None:
        self.sent[f"{kind}_due"] += 1
        if not is_late:
            send()
            self.sent[kind] += 1

    def _answer(self) -> None:
        while True:
            self._server.serve_request(self._remote.reply, 0.1)

    def _send_frame(self) -> None:
        index = self.sent["frames_due"]
        head = {"topic": "frame.world", "width": self._size[0], "height": self._size[1], "index": index}
        self._send({**head, "timestamp": self._remote.clock_s(), "format": "jpeg"}, self._jpegs[index % FRAMES])

    def _send_gaze(self) -> None:
        index = self.sent["gaze_due"] * self._frames_hz / self._gaze_hz
        x, y = (compute_centre(index, self._size) + self._noise.normal(0, NOISE_PX, 2)) / self._size
        fields = {"confidence": 0.95, "timestamp": self._remote.clock_s(), "base_data": []}
        self._send({"topic": "gaze.2d.01.", "norm_pos": [float(x), float(1 - y)], **fields})

    def _send(self, fields: dict[str, Any], *raw: bytes) -> None:
        self._server.send([fields["topic"].encode(), msgpack.packb(fields), *raw])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", default="1920x1080")
    parser.add_argument("--frames-hz", type=float, default=120.0)
    parser.add_argument("--gaze-hz", type=float, default=1000.0, help="not less than the frames")
    args = parser.parse_args()
    width, height = map(int, args.size.split("x"))
    device = FastDevice((width, height), args.frames_hz, args.gaze_hz)
    print(device.port, flush=True)
    device.serve()


if __name__ == "__main__":
    main()
