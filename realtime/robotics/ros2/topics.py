"""Defines the ROS 2 topics, and the messages on each of them for one message of gazecast. Pure."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

from calibration import CameraModel
from realtime.comms.object3d import Object3dMessage
from realtime.robotics.ros2 import convert
from realtime.robotics.ros2.message_types import cdr
from realtime.types import MaskResult

CAMERA_FRAME = "camera_optical_frame"
"""The default name of the camera's frame of reference; REP-103 wants this end."""
TOPICS = {
    "mask": "sensor_msgs/msg/Image",
    "label": "sensor_msgs/msg/Image",
    "detections_2d": "vision_msgs/msg/Detection2DArray",
    "confirmed": "vision_msgs/msg/Detection2DArray",
    "image/compressed": "sensor_msgs/msg/CompressedImage",
    "overlay/compressed": "sensor_msgs/msg/CompressedImage",
    "camera_info": "sensor_msgs/msg/CameraInfo",
    "detections_3d": "vision_msgs/msg/Detection3DArray",
    "object/pose": "geometry_msgs/msg/PoseStamped",
    "object/point": "geometry_msgs/msg/PointStamped",
    "object/points": "sensor_msgs/msg/PointCloud2",
    "/tf": "tf2_msgs/msg/TFMessage",
}
"""Topic -> type. All but /tf stand under the stream's name."""


def name_ros_topic(stream: str, topic: str) -> str:
    """Return a topic's full name; characters that ROS does not allow in it become underscores."""
    if topic.startswith("/"):
        return topic
    name = re.sub(r"\W+", "_", stream, flags=re.ASCII) or "gazecast"
    return f"/{'_' if name[0].isdigit() else ''}{name}/{topic}"


@dataclass(frozen=True, slots=True, eq=False)
class OutgoingMessage:
    """A message for one of `TOPICS`. stamp_ns: capture of the frame that it is about, wall clock."""

    topic: str
    stamp_ns: int
    message: Any

    @property
    def cdr(self) -> bytes:
        """The message as bytes, as ROS 2 sends it."""
        return cdr(self.message)


MessageMaker = Callable[[convert.Header], convert.Message | None]


class MessageTranslator:
    """A translator of a stream's messages into ROS 2, in order; it remembers the camera and the last mask."""

    def __init__(
        self,
        wall_ns: int,
        *,
        camera: CameraModel | None = None,
        camera_frame: str = CAMERA_FRAME,
        name_class: Callable[[int], str] = lambda object_id: convert.UNNAMED_CLASS,
        is_wanted: Callable[[str], bool] = lambda topic: True,
    ) -> None:
        """wall_ns: wall clock minus the clock of all `_ns`. name_class: the class name of an object.

        camera, camera_frame: those of the pictures, until an `object3d` has others. is_wanted: called with a topic
        before its message is made.
        """
        self._wall_ns, self._name_class, self._is_wanted = wall_ns, name_class, is_wanted
        self.camera, self.camera_frame = camera, camera_frame
        self._last_mask: MaskResult | None = None
        self._informed: deque[int] = deque(maxlen=64)  # a message that waits for its depth is a few frames old

    def translate_image(
        self,
        data: bytes,
        kind: Literal["jpeg", "png"],
        captured_ns: int,
        topic: Literal["image/compressed", "overlay/compressed"] = "image/compressed",
    ) -> Iterator[OutgoingMessage]:
        """Translate a frame, or one with its mask drawn."""
        image = partial(convert.compressed_image, data, kind)
        return self._translate(captured_ns, {topic: image, "camera_info": partial(self._camera_info, captured_ns)})

    def translate_mask(self, message: MaskResult) -> Iterator[OutgoingMessage]:
        """Translate a mask; one without time of capture, of an older publisher, is stamped with its arrival there."""
        if message.is_guess:  # no object that a robot may act on
            message = replace(message, state="lost", mask=None, confidence=0.0)
        self._last_mask = message
        captured_ns = message.captured_ns or message.timing_ns.frame_received
        class_name = self._find_class(message)
        confirmed = message if message.confirmed is not None else replace(message, mask=None)
        return self._translate(captured_ns, {
            "mask": partial(convert.mask_image, message),
            "label": partial(convert.label_image, message),
            "detections_2d": partial(convert.detections_2d, message, class_name=class_name),
            "confirmed": partial(convert.detections_2d, confirmed, class_name=class_name),
            "camera_info": partial(self._camera_info, captured_ns),
        })  # fmt: skip

    def _find_class(self, message: MaskResult) -> str:
        """Return the name that the user gave the object, else what it was recognized as."""
        name = self._name_class(message.object)
        return message.label.name if name == convert.UNNAMED_CLASS and message.label is not None else name

    def translate_object3d(self, message: Object3dMessage) -> Iterator[OutgoingMessage]:
        """Translate the place of an object in space, as far as it is known."""
        place, last = message.place, self._last_mask
        self.camera, self.camera_frame = message.camera or self.camera, place.frame_id
        mask = last if last is not None and last.object == message.object else None
        class_name = self._find_class(mask) if mask is not None else self._name_class(message.object)
        confidence = mask.confidence if mask is not None else 0.0
        return self._translate(message.captured_ns, {
            "camera_info": partial(self._camera_info, message.captured_ns),
            "detections_3d": partial(convert.detections_3d, message, class_name=class_name, confidence=confidence),
            "object/pose": partial(convert.pose_stamped, place),
            "object/point": partial(convert.point_stamped, place),
            "object/points": partial(convert.point_cloud, message.points),
            "/tf": partial(convert.camera_transform, message),
        })  # fmt: skip

    def _translate(self, captured_ns: int, makers: Mapping[str, MessageMaker]) -> Iterator[OutgoingMessage]:
        stamp_ns = captured_ns + self._wall_ns
        header = convert.make_header(stamp_ns, self.camera_frame)
        for topic, make in makers.items():
            if self._is_wanted(topic) and (message := make(header)) is not None:
                yield OutgoingMessage(topic, stamp_ns, message)

    def _camera_info(self, captured_ns: int, header: convert.Header) -> convert.Message | None:
        """Make the message once for each frame, for the stamp of its picture and its mask."""
        if self.camera is None or captured_ns in self._informed:
            return None
        self._informed.append(captured_ns)
        return convert.camera_info(self.camera, header)
