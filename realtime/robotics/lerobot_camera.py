"""For LeRobot: the overlay as one of its cameras, in the format of its `ZMQCamera`.

One PUB socket; each message is one part, JSON: {"timestamps": {name: seconds}, "images": {name: JPEG in base64}}. The
time is that of capture, wall clock. (https://github.com/huggingface/lerobot, src/lerobot/cameras/zmq)
"""

from __future__ import annotations

import base64
import json
import logging
import threading
from collections.abc import Mapping

import cv2

from realtime.comms.sockets.publisher import PublisherSocket
from realtime.infra.channels import Latest
from realtime.infra.error_guard import describe_error
from realtime.media.overlay import draw
from realtime.pipeline.observers import FrameResult, PipelineObserver

log = logging.getLogger(__name__)
QUEUE = 2
"""Pictures that may wait for a reader who has none of its own queue; LeRobot keeps the newest only."""
STOP_S = 0.8


def pack_camera_message(name: str, captured_s: float, jpeg: bytes) -> bytes:
    """One picture of one camera. captured_s: Unix time."""
    said = {"timestamps": {name: captured_s}, "images": {name: base64.b64encode(jpeg).decode("ascii")}}
    return json.dumps(said).encode()


class LeRobotCamera(PipelineObserver):
    """Draws and sends what is shown, from `__init__` to `close`; draws only while somebody listens."""

    name = "lerobot"

    def __init__(self, endpoint: str, camera: str, wall_ns: int, *, jpeg_quality: int = 80) -> None:
        """Bind; raises `TransportError`. camera: its name. wall_ns: wall clock minus the host's monotonic clock."""
        self._camera, self._wall_ns, self._jpeg_quality = camera, wall_ns, jpeg_quality
        self._publisher = PublisherSocket(endpoint, queue=QUEUE)
        self.endpoint = self._publisher.endpoint
        self._shown: Latest[FrameResult] = Latest()
        self._trouble = ""
        self._thread = threading.Thread(target=self._work, name="gazecast-lerobot", daemon=True)
        self._thread.start()

    def on_mask(self, shown: FrameResult) -> None:
        """Take the newest frame with its mask."""
        self._shown.put(shown)

    def drop_counts(self) -> Mapping[str, int]:
        """Frames that came while another one was drawn."""
        return {"lerobot.frames": self._shown.dropped} if self._shown.dropped else {}

    def problem(self) -> str:
        """What went wrong last, until something goes well."""
        return self._trouble

    def close(self) -> None:
        """Free the port; twice is fine."""
        self._shown.close()
        self._thread.join(STOP_S)
        self._publisher.close()

    def _work(self) -> None:
        while (shown := self._shown.get()) is not None:
            try:
                if self._publisher.has_subscribers:
                    self._send(shown)
                self._trouble = ""
            except Exception as error:  # one picture must not end the others
                self._trouble = f"lerobot: {describe_error(error)}"
                log.debug("%s", self._trouble, exc_info=True)

    def _send(self, shown: FrameResult) -> None:
        image = draw(shown.frame.image, shown.result)
        ok, jpeg = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, self._jpeg_quality])
        if not ok:
            raise ValueError(f"a picture of {image.shape} cannot be packed as JPEG")
        captured_s = (shown.frame.captured_ns + self._wall_ns) / 1e9
        self._publisher.send_raw(pack_camera_message(self._camera, captured_s, jpeg.tobytes()))
