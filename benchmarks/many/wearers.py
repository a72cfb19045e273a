"""Plays the cameras and eyes of several wearers, one device each: python -m benchmarks.many.wearers 4 --fps 15.

It prints the devices' ports as a JSON list, and plays until its input ends. All send the same pictures, at different
phases, and their gaze follows the object in them. Pictures are encoded before the start, so that sending costs little.
"""

from __future__ import annotations

import argparse
import json
import sys
import threading
import time
from dataclasses import dataclass

import cv2
import msgpack
import numpy as np

from benchmarks.whole_program.device import FRAMES, NOISE_PX, compute_centre
from realtime.comms.sockets.pupil import PupilRemote, PupilServer

GAZE_HZ = 60.0
MAX_LAG_S = 0.5
"""What is later than this is not sent any more."""


@dataclass(frozen=True)
class PlayedPictures:
    """Holds the pictures that all wearers see, as JPEGs, in a loop."""

    size: tuple[int, int]
    jpegs: list[bytes]

    @classmethod
    def draw(cls, size: tuple[int, int]) -> PlayedPictures:
        """Draw a disc that moves before a ground that moves, as a camera on a head sees it."""
        rng = np.random.default_rng(7)
        margin = size[0] // 10
        small = rng.integers(40, 140, ((size[1] + 2 * margin) // 4, (size[0] + 2 * margin) // 4, 3), np.uint8)
        ground = cv2.GaussianBlur(cv2.resize(small, (size[0] + 2 * margin, size[1] + 2 * margin)), (0, 0), 2)
        jpegs = []
        for index in range(FRAMES):
            angle = 2 * np.pi * index / FRAMES
            x, y = (round(margin * (1 + part(angle))) for part in (np.sin, np.cos))
            image = ground[y : y + size[1], x : x + size[0]].copy()
            centre = tuple(round(place) for place in compute_centre(index, size))
            cv2.circle(image, centre, size[1] // 6, (30, 30, 200), -1, cv2.LINE_AA)
            cv2.circle(image, centre, size[1] // 12, (30, 30, 150), -1, cv2.LINE_AA)
            jpegs.append(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 80])[1].tobytes())
        return cls(size, jpegs)


class WearerDevice:
    """One wearer's device; `send_due` is called again and again by one thread."""

    def __init__(self, pictures: PlayedPictures, frames_hz: float, phase: float) -> None:
        """phase: 0 to 1, of a frame's time."""
        self._pictures, self._frames_hz = pictures, frames_hz
        self._noise = np.random.default_rng(round(1000 * phase))
        self._server = PupilServer("127.0.0.1", 0)
        self._remote = PupilRemote(self._server, 0.0)
        self.port = self._server.port
        begun_s = time.monotonic()
        self._next_frame_s, self._next_gaze_s = begun_s + phase / frames_hz, begun_s + phase / GAZE_HZ
        self._index = 0
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            self._server.serve_request(self._remote.reply, 1.0)

    def send_due(self, now_s: float) -> float:
        """Send what is due, and return when something is due again."""
        while self._next_frame_s <= now_s:
            if now_s - self._next_frame_s < MAX_LAG_S:
                self._send_frame(now_s)
            self._next_frame_s += 1 / self._frames_hz
        while self._next_gaze_s <= now_s:
            if now_s - self._next_gaze_s < MAX_LAG_S:
                self._send_gaze(now_s)
            self._next_gaze_s += 1 / GAZE_HZ
        return min(self._next_frame_s, self._next_gaze_s)

    def _send_frame(self, now_s: float) -> None:
        width, height = self._pictures.size
        head = {
            "topic": "frame.world", "width": width, "height": height, "index": self._index, "timestamp": now_s,
            "format": "jpeg",
        }  # fmt: skip
        self._server.send([b"frame.world", msgpack.packb(head), self._pictures.jpegs[self._index % FRAMES]])
        self._index += 1

    def _send_gaze(self, now_s: float) -> None:
        width, height = self._pictures.size
        x, y = np.add(compute_centre(self._index % FRAMES, self._pictures.size), self._noise.normal(0, NOISE_PX, 2))
        datum = {
            "topic": "gaze.2d.01.", "norm_pos": [x / width, 1 - y / height], "confidence": 0.95, "timestamp": now_s,
            "base_data": [],
        }  # fmt: skip
        self._server.send([b"gaze.2d.01.", msgpack.packb(datum)])


def play(devices: list[WearerDevice], stopping: threading.Event) -> None:
    """Send what is due on all devices, until `stopping` is set."""
    while not stopping.is_set():
        now_s = time.monotonic()
        due_s = min(device.send_due(now_s) for device in devices)
        stopping.wait(max(0.0, due_s - time.monotonic()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("count", type=int)
    parser.add_argument("--size", default="640x360")
    parser.add_argument("--fps", type=float, default=15.0)
    parser.add_argument("--greedy", metavar="SIZE@FPS", default="", help="of the first wearer, such as 1920x1080@120")
    args = parser.parse_args()
    usual = PlayedPictures.draw(tuple(map(int, args.size.split("x"))))  # type: ignore[arg-type]
    devices = [WearerDevice(usual, args.fps, (number + 0.5) / args.count) for number in range(args.count)]
    if args.greedy:
        size, _, fps = args.greedy.partition("@")
        large = PlayedPictures.draw(tuple(map(int, size.split("x"))))  # type: ignore[arg-type]
        devices[0] = WearerDevice(large, float(fps), 0.0)
    print(json.dumps([device.port for device in devices]), flush=True)
    stopping = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), stopping.set()), daemon=True).start()
    play(devices, stopping)


if __name__ == "__main__":
    main()
