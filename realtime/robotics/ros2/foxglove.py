"""Serves ROS 2 messages live over a WebSocket for Foxglove. The only module that imports foxglove-sdk.

The library's server listens on the loopback address, behind `FoxgloveRelay`, which clients connect to. A message
without subscribers is not made. Messages are made on a thread of their own; a client that reads slowly loses the oldest
of its few waiting messages, in the library's own threads.
"""

from __future__ import annotations

import errno
import logging
import re
import threading
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from calibration import CameraModel
from realtime.comms.hosts import check_host, is_loopback
from realtime.comms.keys import explain_exposure
from realtime.comms.messages import read_message
from realtime.comms.object3d import Object3dMessage
from realtime.errors import AccessError, Ros2Error, TransportError
from realtime.infra.channels import Latest
from realtime.media.jpeg import encode_jpeg
from realtime.media.overlay import draw_overlay
from realtime.pipeline.observers import FrameResult
from realtime.pipeline.result_worker import ResultWorker
from realtime.robotics.ros2.foxglove_relay import FoxgloveRelay
from realtime.robotics.ros2.message_types import definition, load_types
from realtime.robotics.ros2.topics import CAMERA_FRAME, TOPICS, MessageTranslator, OutgoingMessage, name_ros_topic

log = logging.getLogger(__name__)
LOOPBACK, PORT = "127.0.0.1", 8765
BACKLOG = 16
"""Messages that may wait for one client: all about one frame, and some more."""
STOP_S = 0.4
"""Time for the thread to end, and then for the clients to disconnect."""
_BIND_HINTS = {
    errno.EADDRINUSE: "the port is in use; stop the program that holds it, or give another one: --foxglove HOST:PORT",
    errno.EADDRNOTAVAIL: "this machine has no such address; use 127.0.0.1, 0.0.0.0 or one of its own",
    errno.EACCES: "ports below 1024 are reserved for the system; give another one: --foxglove HOST:PORT",
}


class FoxgloveServer(ResultWorker):
    """A WebSocket server for Foxglove, from `__init__` to `close`."""

    name = "foxglove"
    join_timeout_s = STOP_S

    def __init__(
        self,
        address: str,
        stream: str,
        wall_ns: int,
        *,
        camera: CameraModel | None = None,
        camera_frame: str = CAMERA_FRAME,
        jpeg_quality: int = 80,
        is_open: bool = False,
    ) -> None:
        """Listen at `address`, as `parse_host_port` reads it. wall_ns: wall clock minus the host's monotonic clock.

        is_open: other machines may connect, without a password, which the protocol does not know.
        Raises `Ros2Error` where a library is missing, `TransportError` where it cannot listen.
        """
        super().__init__()
        self.host, port = parse_host_port(address)
        check_host(self.host)
        if not (is_open or is_loopback(self.host)):
            raise AccessError(explain_exposure(address, self.name))
        load_types()
        try:
            import foxglove
        except ImportError:
            raise Ros2Error("Foxglove's server needs foxglove-sdk: pip install -e '.[robotics]'") from None
        if not log.isEnabledFor(logging.DEBUG):  # the library logs a client that disconnects as an error
            logging.getLogger("foxglove").setLevel(logging.CRITICAL)
        self._context = context = foxglove.Context()  # kept: without it the server knows of no channel
        self._channels = {topic: _open_channel(foxglove, context, stream, topic) for topic in TOPICS}
        self._server = _start_server(foxglove, context, stream)
        try:
            self._relay = FoxgloveRelay(self.host.strip("[]"), port, int(self._server.port), is_open=is_open)
        except OSError as error:
            self._server.stop()
            reason = _BIND_HINTS.get(error.errno or 0, error.strerror or str(error))
            raise TransportError(f"cannot serve Foxglove at {self.host}:{port}: {reason}") from None
        self.port = self._relay.port
        self.address = f"ws://{self.host}:{self.port}"
        self._translator = MessageTranslator(
            wall_ns, camera=camera, camera_frame=camera_frame, is_wanted=self._is_wanted
        )
        self._jpeg_quality = jpeg_quality
        self._objects: Latest[bytes] = Latest()
        self.start()

    def on_message(self, topic: str, payload: bytes) -> None:
        """Replace the newest `object3d`."""
        if topic == "object3d":
            self._objects.put(payload)
            self._results.wake()

    def drop_counts(self) -> Mapping[str, int]:
        """Count frames and `object3d` that newer ones replaced or that failed, and connections that were refused."""
        own = {"foxglove.object3d": self._objects.dropped, "foxglove.refused_peers": self._relay.refused}
        return Counter(super().drop_counts()) + Counter(own)

    def close(self) -> None:
        """Disconnect the clients and free the port, within a second even if a client hangs; may be called twice."""
        if self._results.is_closed:
            return
        super().close()
        self._objects.close()
        for channel in self._channels.values():
            channel.close()
        self._relay.close(STOP_S)
        # It waits for the answer of every client, for ever for one that hangs.
        stopping = threading.Thread(target=self._server.stop, name="gazecast-foxglove-stop", daemon=True)
        stopping.start()
        stopping.join(STOP_S)

    def handle(self, result: FrameResult | None) -> None:
        """Send the messages of a frame, and of the newest `object3d`."""
        payload = self._objects.get(0)
        if result is not None:
            self._send_result(result)
        if payload is not None:
            message = read_message("object3d", payload)
            assert isinstance(message, Object3dMessage)
            self._send(self._translator.translate_object3d(message))

    def _send_result(self, result: FrameResult) -> None:
        frame, message = result.frame, result.result
        if self._is_wanted("image/compressed"):
            jpeg = frame.jpeg if frame.jpeg is not None else encode_jpeg(frame.image, self._jpeg_quality)
            self._send(self._translator.translate_image(jpeg, "jpeg", frame.captured_ns))
        if self._is_wanted("overlay/compressed"):
            jpeg = encode_jpeg(draw_overlay(frame.image, message), self._jpeg_quality)
            self._send(self._translator.translate_image(jpeg, "jpeg", frame.captured_ns, "overlay/compressed"))
        if message is not None:
            self._send(self._translator.translate_mask(message))

    def _send(self, messages: Iterable[OutgoingMessage]) -> None:
        for outgoing in messages:
            self._channels[outgoing.topic].log(outgoing.cdr)

    def _is_wanted(self, topic: str) -> bool:
        return bool(self._channels[topic].has_sinks())


def parse_host_port(text: str) -> tuple[str, int]:
    """Read HOST:PORT, or PORT alone for the loopback address; port 0 is a free one. Raises `TransportError`."""
    found = re.fullmatch(r"(?:(\[[0-9a-fA-F:.%\w]+\]|[^\s:/\[\]]+):)?(\d{1,5})", text)
    if found is None or int(found[2]) > 65535:
        raise TransportError(f"{text!r} is no address for Foxglove; expected HOST:PORT, such as {LOOPBACK}:{PORT}")
    return found[1] or LOOPBACK, int(found[2])


def _start_server(foxglove: Any, context: Any, stream: str) -> Any:
    try:
        return foxglove.start_server(
            name=f"gazecast {stream}", host=LOOPBACK, port=0, context=context, message_backlog_size=BACKLOG
        )
    except RuntimeError as error:
        raise TransportError(f"cannot serve Foxglove: {error}") from None


def _open_channel(foxglove: Any, context: Any, stream: str, topic: str) -> Any:
    kind = TOPICS[topic]
    schema = foxglove.Schema(name=kind, encoding="ros2msg", data=definition(kind).encode())
    return foxglove.Channel(name_ros_topic(stream, topic), schema=schema, message_encoding="cdr", context=context)
