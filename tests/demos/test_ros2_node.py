"""Tests the node's topics and bytes with a stand-in for rclpy."""

from __future__ import annotations

import dataclasses
import runpy
import sys
import threading
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from realtime.comms.messages import HealthMessage
from realtime.comms.sockets.publisher import PublisherSocket
from realtime.pipeline.publisher import MessagePublisher
from realtime.robotics.ros2 import message_types
from realtime.robotics.ros2.topics import TOPICS, name_ros_topic
from tests.realtime.robotics.ros2.cdr_reader import FRAME_ID, WALL_NS, captured_ns, mask, solid
from tests.realtime.waiting import eventually

pytest.importorskip("rosbags", reason="ROS 2 messages need rosbags: pip install -e '.[robotics]'")

DEMO = Path(__file__).parents[2] / "demos" / "ros2_node.py"
HEALTH = HealthMessage("running", "", {}, {}, {}, 1.0, {}, WALL_NS)
UNREAD = {"camera_info", "label", "image/compressed", "overlay/compressed"}


class RosStub:
    """The part of rclpy that the node uses."""

    def __init__(self) -> None:
        self.published: dict[str, tuple[str, bytes]] = {}
        self.over = threading.Event()

    def create_publisher(self, kind: str, topic: str, profile: Any) -> Any:
        def publish(message: bytes) -> None:
            assert isinstance(message, bytes)
            self.published[topic] = kind, message

        count = 0 if topic in {name_ros_topic("eyes", unread) for unread in UNREAD} else 1
        return SimpleNamespace(publish=publish, get_subscription_count=lambda: count)

    def get_logger(self) -> Any:
        return SimpleNamespace(info=lambda text, once: None)

    def modules(self) -> dict[str, ModuleType]:
        parts: dict[str, dict[str, Any]] = {
            "rclpy": {"init": lambda: None, "ok": lambda: not self.over.is_set()},
            "rclpy.node": {"Node": lambda name: self},
            "rclpy.qos": {"QoSProfile": lambda depth: depth},
            "rosidl_runtime_py": {},
            "rosidl_runtime_py.utilities": {"get_message": lambda name: name},
        }
        made = {name: ModuleType(name) for name in parts}
        for name, values in parts.items():
            vars(made[name]).update(values)
        return made


def test_the_node_publishes_topics_with_subscribers(monkeypatch: pytest.MonkeyPatch) -> None:
    ros = RosStub()
    for name, module in ros.modules().items():
        monkeypatch.setitem(sys.modules, name, module)
    publisher = PublisherSocket("tcp://127.0.0.1:*")
    publishers = [MessagePublisher(publisher, "eyes", lambda: 0)]
    for _ in range(9):  # before the node subscribes, so that this run's numbers are above those of the next
        publishers[0].publish("health", HEALTH.to_fields())
    thread = threading.Thread(target=runpy.run_path(str(DEMO))["main"], args=(publisher.endpoint,), daemon=True)
    thread.start()
    expected = {name_ros_topic("eyes", topic) for topic in TOPICS.keys() - UNREAD}

    def has_published_all() -> bool:
        for topic, message in (("health", HEALTH), ("mask", mask(1)), ("object3d", solid(1))):
            publishers[-1].publish(topic, message.to_fields())
        return ros.published.keys() == expected

    def is_stamped(wall_ns: int) -> bool:
        publishers[-1].publish("mask", mask(1).to_fields())
        image = message_types.load_types().deserialize_cdr(ros.published["/eyes/mask"][1], "sensor_msgs/msg/Image")
        return image.header.stamp.sec * 10**9 + image.header.stamp.nanosec == captured_ns(1) + wall_ns

    try:
        eventually(has_published_all, "all was published")
        assert is_stamped(WALL_NS)
        publishers.append(MessagePublisher(publisher, "eyes", lambda: 0))
        rebooted = WALL_NS + 86_400 * 10**9
        publishers[-1].publish("health", dataclasses.replace(HEALTH, wall_ns=rebooted).to_fields())
        eventually(lambda: is_stamped(rebooted), "the stamps of the next run")
    finally:
        ros.over.set()
        thread.join(60)
        publisher.close()
    assert not thread.is_alive()
    kind, data = ros.published["/eyes/mask"]
    assert kind == "sensor_msgs/msg/Image"
    image = message_types.load_types().deserialize_cdr(data, kind)
    np.testing.assert_array_equal(image.data.reshape(image.height, image.width) > 0, mask(1).mask)
    kind, data = ros.published["/eyes/object/pose"]
    assert message_types.load_types().deserialize_cdr(data, kind).header.frame_id == FRAME_ID
