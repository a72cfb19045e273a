"""Which topics there are, and what goes out on each for one message of ours. Pure; `convert` makes the messages."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from calibration import CameraModel, RigidTransform
from realtime.comms.object3d import Object3dMessage
from realtime.robotics.ros2 import convert
from realtime.robotics.ros2.message_types import cdr
from realtime.types import MaskResult

CAMERA_FRAME = "camera_optical_frame"
"""The camera's frame of reference where nobody has said another; REP-103 wants this end."""
TOPICS = {
    "mask": "sensor_msgs/msg/Image",
    "label": "sensor_msgs/msg/Image",
    "detections_2d": "vision_msgs/msg/Detection2DArray",
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
    """A topic as the graph has it; what ROS does not allow in a name becomes an underscore."""
    if topic.startswith("/"):
        return topic
    name = re.sub(r"\W+", "_", stream, flags=re.ASCII) or "gazecast"
    return f"/{'_' if name[0].isdigit() else ''}{name}/{topic}"


@dataclass(frozen=True, slots=True, eq=False)
class OutgoingMessage:
    """A message for one of `TOPICS_METADATA`. stamp_ns: capture of the frame that it is about, wall clock."""

    topic: str
    stamp_ns: int
    message: Any

    @property
    def cdr(self) -> bytes:
        """As ROS 2 sends it."""
        return cdr(self.message)


class MessageTranslator:
    """Says in ROS 2 what a stream says, one message of ours at a time; remembers the camera and the last mask.

    wall_ns: wall clock minus the clock of all `_ns`. name: what an object is called. wanted: asked before a message
    is made, with its topic. camera, camera_frame: those of the pictures; `object3d` tells others.
    """

    def __init__(
        self,
        wall_ns: int,
        *,
        camera: CameraModel | None = None,
        camera_frame: str = CAMERA_FRAME,
        name: Callable[[int], str] = lambda thing: convert.UNNAMED_CLASS,
        wanted: Callable[[str], bool] = lambda topic: True,
    ) -> None:
        self._wall_ns, self._name, self._wanted = wall_ns, name, wanted
        self.camera, self.camera_frame = camera, camera_frame
        self._said: MaskResult | None = None
        self._informed: deque[int] = deque(maxlen=64)  # what waits for its depth is a few frames old

    def translate_image(
        self,
        data: bytes,
        kind: Literal["jpeg", "png"],
        captured_ns: int,
        topic: Literal["image/compressed", "overlay/compressed"] = "image/compressed",
    ) -> Iterator[OutgoingMessage]:
        """A frame, or one with its mask drawn."""
        if self._wanted(topic):
            head = self._head(captured_ns)
            yield OutgoingMessage(topic, self._wall_ns + captured_ns, convert.compressed_image(data, kind, head))
        yield from self._info(captured_ns)

    def translate_mask(self, message: MaskResult) -> Iterator[OutgoingMessage]:
        """A mask; without a time of capture, from an older publisher, that of arrival at the publisher."""
        self._said = message
        captured_ns = message.captured_ns or message.timing_ns.frame_received
        head, stamp_ns = self._head(captured_ns), captured_ns + self._wall_ns
        if self._wanted("mask"):
            yield OutgoingMessage("mask", stamp_ns, convert.mask_image(message, head))
        if self._wanted("label"):
            yield OutgoingMessage("label", stamp_ns, convert.label_image(message, head))
        if self._wanted("detections_2d"):
            found = convert.detections_2d(message, head, self._name(message.object))
            yield OutgoingMessage("detections_2d", stamp_ns, found)
        yield from self._info(captured_ns)

    def translate_object3d(self, message: Object3dMessage) -> Iterator[OutgoingMessage]:
        """Where the object is in space, as far as that is known."""
        self.camera, self.camera_frame = message.camera or self.camera, message.place.frame_id
        head, stamp_ns = self._head(message.captured_ns), message.captured_ns + self._wall_ns
        yield from self._info(message.captured_ns)
        if self._wanted("detections_3d"):
            last = self._said
            sure = last.confidence if last is not None and last.object == message.object else 0.0
            found = convert.detections_3d(message, head, self._name(message.object), sure)
            yield OutgoingMessage("detections_3d", stamp_ns, found)
        if self._wanted("object/pose") and (pose := convert.pose_stamped(message.place, head)) is not None:
            yield OutgoingMessage("object/pose", stamp_ns, pose)
        if self._wanted("object/point") and (point := convert.point_stamped(message.place, head)) is not None:
            yield OutgoingMessage("object/point", stamp_ns, point)
        if self._wanted("object/points") and message.points is not None and len(message.points):
            yield OutgoingMessage("object/points", stamp_ns, convert.point_cloud(message.points, head))
        to_robot = message.robot_from_camera_m, message.robot_from_camera_xyzw
        if self._wanted("/tf") and message.robot is not None and to_robot[0] is not None and to_robot[1] is not None:
            pose = RigidTransform.from_quaternion(to_robot[1], to_robot[0])
            chain = [(message.robot.frame_id, message.place.frame_id, pose)]
            yield OutgoingMessage("/tf", stamp_ns, convert.transforms(stamp_ns, chain))

    def _head(self, captured_ns: int) -> Any:
        return convert.make_header(captured_ns + self._wall_ns, self.camera_frame)

    def _info(self, captured_ns: int) -> Iterator[OutgoingMessage]:
        """The camera once for every frame, with the stamp of its picture and its mask."""
        if self.camera is not None and captured_ns not in self._informed and self._wanted("camera_info"):
            self._informed.append(captured_ns)
            head = self._head(captured_ns)
            yield OutgoingMessage("camera_info", captured_ns + self._wall_ns, convert.camera_info(self.camera, head))
