"""Live for Foxglove: a WebSocket server of ROS 2 messages. The only module that knows foxglove-sdk.

What nobody has subscribed to is not made. The run hands over its newest and goes on; all work is on a thread of its
own, and a client that reads slowly loses the oldest of its few waiting messages, in the library's own threads.
"""

from __future__ import annotations

import logging
import re
import threading
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import cv2

from calibration import CameraModel
from realtime.comms.messages import read_message
from realtime.comms.object3d import Object3dMessage
from realtime.errors import Ros2Error, TransportError
from realtime.infra.channels import Latest
from realtime.infra.error_guard import describe_error
from realtime.media.overlay import draw
from realtime.pipeline.observers import FrameResult, PipelineObserver
from realtime.robotics.ros2.message_types import check_rosbags, definition
from realtime.robotics.ros2.topics import CAMERA_FRAME, TOPICS, MessageTranslator, OutgoingMessage, name_ros_topic

log = logging.getLogger(__name__)
LOOPBACK, PORT = "127.0.0.1", 8765
BACKLOG = 16
"""Messages that may wait for one client: all about one frame, and some more."""
STOP_S = 0.4
"""What this thread, and then the clients, get to end in."""


class FoxgloveServer(PipelineObserver):
    """Serves from `__init__` to `close`."""

    name = "foxglove"

    def __init__(
        self,
        address: str,
        stream: str,
        wall_ns: int,
        *,
        camera: CameraModel | None = None,
        camera_frame: str = CAMERA_FRAME,
        jpeg_quality: int = 80,
    ) -> None:
        """Listen at `address`, as `parse_host_port` reads it. wall_ns: wall clock minus the host's monotonic clock.

        Raises `Ros2Error` where a library is missing, `TransportError` where it cannot listen.
        """
        self.host, port = parse_host_port(address)
        check_rosbags()
        try:
            import foxglove
        except ImportError:
            raise Ros2Error("Foxglove's server needs foxglove-sdk: pip install -e '.[robotics]'") from None
        if not log.isEnabledFor(logging.DEBUG):  # clients come and go as they like, which it calls errors
            logging.getLogger("foxglove").setLevel(logging.CRITICAL)
        self._context = context = foxglove.Context()  # kept: without it the server knows of no channel
        self._channels = {topic: _channel(foxglove, context, stream, topic) for topic in TOPICS}
        try:
            self._server = foxglove.start_server(
                name=f"gazecast {stream}", host=self.host.strip("[]"), port=port, context=context,
                message_backlog_size=BACKLOG,
            )  # fmt: skip
        except RuntimeError as error:
            raise TransportError(f"cannot serve Foxglove at {self.host}:{port}: {_why(str(error))}") from None
        self.port = int(self._server.port)
        self._translator = MessageTranslator(wall_ns, camera=camera, camera_frame=camera_frame, wanted=self._wanted)
        self._jpeg_quality = jpeg_quality
        self._shown: Latest[FrameResult] = Latest()
        self._space: Latest[bytes] = Latest()
        self._failed: Counter[str] = Counter()
        self._trouble = ""
        self._thread = threading.Thread(target=self._work, name="gazecast-foxglove", daemon=True)
        self._thread.start()

    @property
    def address(self) -> str:
        """Where clients find it."""
        return f"ws://{self.host}:{self.port}"

    def on_mask(self, shown: FrameResult) -> None:
        """Take the newest frame with its mask."""
        self._shown.put(shown)

    def on_message(self, topic: str, payload: bytes) -> None:
        """Take the newest `object3d`."""
        if topic == "object3d":
            self._space.put(payload)
            self._shown.wake()

    def drop_counts(self) -> Mapping[str, int]:
        """What this thread was too slow for, or failed at."""
        counts = {"foxglove.frames": self._shown.dropped, "foxglove.object3d": self._space.dropped}
        return {name: count for name, count in {**counts, **self._failed}.items() if count}

    def problem(self) -> str:
        """What went wrong last, until something goes well."""
        return self._trouble

    def close(self) -> None:
        """Let clients go, free the port; within a second, whatever clients do. Twice is fine."""
        if self._shown.is_closed:
            return
        self._shown.close()
        self._space.close()
        self._thread.join(STOP_S)
        for channel in self._channels.values():
            channel.close()
        # It frees the port at once, but waits for the goodbye of every client, for ever of one that hangs.
        goodbye = threading.Thread(target=self._server.stop, name="gazecast-foxglove-stop", daemon=True)
        goodbye.start()
        goodbye.join(STOP_S)

    # -- this thread --------------------------------------------------------------------------------------------------

    def _work(self) -> None:
        while not self._shown.is_closed:
            shown = self._shown.get()
            payload = self._space.get(0)
            if shown is None and payload is None:
                continue
            try:
                if shown is not None:
                    self._show(shown)
                if payload is not None:
                    message = read_message("object3d", payload)
                    assert isinstance(message, Object3dMessage)
                    self._send(self._translator.translate_object3d(message))
                self._trouble = ""
            except Exception as error:  # one message must not end the others
                self._failed["foxglove.failed"] += 1
                self._trouble = f"foxglove: {describe_error(error)}"
                log.debug("%s", self._trouble, exc_info=True)

    def _show(self, shown: FrameResult) -> None:
        frame, message = shown.frame, shown.result
        if self._wanted("image/compressed"):
            jpeg = frame.jpeg if frame.jpeg is not None else self._jpeg(frame.image)
            self._send(self._translator.translate_image(jpeg, "jpeg", frame.captured_ns))
        if self._wanted("overlay/compressed"):
            jpeg = self._jpeg(draw(frame.image, message))
            self._send(self._translator.translate_image(jpeg, "jpeg", frame.captured_ns, "overlay/compressed"))
        if message is not None:
            self._send(self._translator.translate_mask(message))

    def _send(self, messages: Iterable[OutgoingMessage]) -> None:
        for outgoing in messages:
            self._channels[outgoing.topic].log(outgoing.cdr)

    def _wanted(self, topic: str) -> bool:
        return bool(self._channels[topic].has_sinks())

    def _jpeg(self, image: Any) -> bytes:
        ok, packed = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, self._jpeg_quality])
        if not ok:
            raise ValueError(f"a picture of {image.shape} cannot be packed as JPEG")
        return packed.tobytes()


def parse_host_port(text: str) -> tuple[str, int]:
    """HOST:PORT, or PORT alone for this machine only; raises `TransportError`. Port 0 takes a free one."""
    found = re.fullmatch(r"(?:(\[[0-9a-fA-F:.%\w]+\]|[^\s:/\[\]]+):)?(\d{1,5})", text)
    if found is None or int(found[2]) > 65535:
        raise TransportError(f"{text!r} is no address for Foxglove; expected HOST:PORT, such as {LOOPBACK}:{PORT}")
    return found[1] or LOOPBACK, int(found[2])


def _channel(foxglove: Any, context: Any, stream: str, topic: str) -> Any:
    kind = TOPICS[topic]
    schema = foxglove.Schema(name=kind, encoding="ros2msg", data=definition(kind).encode())
    return foxglove.Channel(name_ros_topic(stream, topic), schema=schema, message_encoding="cdr", context=context)


def _why(said: str) -> str:
    """The library gives the system's text only."""
    if "in use" in said:
        return "the port is in use; stop the program that holds it, or give another one: --foxglove HOST:PORT"
    if "assign requested address" in said:
        return "this machine has no such address; use 127.0.0.1, 0.0.0.0 or one of its own"
    if "Permission" in said:
        return "ports below 1024 are the system's; give another one: --foxglove HOST:PORT"
    return said.removeprefix("FoxgloveError: ").removeprefix("Failed to bind port: ")
