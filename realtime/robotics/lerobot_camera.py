"""Publishes the overlay as a camera of LeRobot, in the format of its `ZMQCamera`.

One PUB socket; each message is one part, JSON: {"timestamps": {name: seconds}, "images": {name: JPEG in base64}}. The
time is that of capture, wall clock. LeRobot's server encodes its RGB pictures as if they were BGR, and its camera
decodes them the same way: red and blue are swapped in the JPEG.
(https://github.com/huggingface/lerobot, src/lerobot/cameras/zmq)
"""

from __future__ import annotations

import base64
import json

import cv2
import numpy as np

from realtime.comms.sockets.curve import ServerAccess
from realtime.comms.sockets.publisher import PublisherSocket
from realtime.media.jpeg import encode_jpeg
from realtime.media.overlay import draw_overlay
from realtime.pipeline.observers import FrameResult
from realtime.pipeline.result_worker import ResultWorker

QUEUE = 2
"""Pictures that may wait for a reader without a queue of its own; LeRobot keeps the newest only."""


class LeRobotCamera(ResultWorker):
    """A publisher of overlays, from `__init__` to `close`; draws only while there are subscribers."""

    name = "lerobot"

    def __init__(
        self, endpoint: str, camera: str, wall_ns: int, *, jpeg_quality: int = 80, is_open: bool = False
    ) -> None:
        """Bind; raises `TransportError`. camera: its name. wall_ns: wall clock minus the host's monotonic clock.

        is_open: other machines may connect, without keys, which LeRobot does not know.
        """
        super().__init__()
        self._camera, self._wall_ns, self._jpeg_quality = camera, wall_ns, jpeg_quality
        self._publisher = PublisherSocket(endpoint, queue=QUEUE, access=ServerAccess(is_open=is_open, output=self.name))
        self.endpoint = self._publisher.endpoint
        self.start()

    def close(self) -> None:
        """End the thread and free the port; may be called twice."""
        super().close()
        self._publisher.close()

    def handle(self, result: FrameResult | None) -> None:
        """Draw and send a frame."""
        if result is None or not self._publisher.has_subscribers:
            return
        overlay = draw_overlay(result.frame.image, result.result)
        jpeg = encode_jpeg(np.asarray(cv2.cvtColor(overlay, cv2.COLOR_BGR2RGB), np.uint8), self._jpeg_quality)
        captured_s = (result.frame.captured_ns + self._wall_ns) / 1e9
        fields = {
            "timestamps": {self._camera: captured_s},
            "images": {self._camera: base64.b64encode(jpeg).decode("ascii")},
        }
        self._publisher.send_raw(json.dumps(fields).encode())
