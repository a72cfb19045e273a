"""Publish gazecast's stream as ROS 2 topics: python3 demos/ros2_node.py [tcp://HOST:PORT], where ROS 2 is sourced.

Not run in a ROS 2 graph here, only with a stand-in for rclpy; the bytes that it publishes are those of the bags and of
Foxglove, which other readers were shown to read. Needs vision_msgs, and gazecast[robotics] in ROS's Python.
"""

import contextlib
import sys

import rclpy
from rclpy.node import Node
from rclpy.qos import QoSProfile
from rosidl_runtime_py.utilities import get_message

from realtime import MaskSubscriber
from realtime.ros2.topics import TOPICS, Translator, full_name


def main(*endpoint: str) -> None:
    """Publish until ROS shuts down."""
    rclpy.init()
    node = Node("gazecast")
    outputs = {
        topic: node.create_publisher(get_message(kind), full_name("gazecast", topic), QoSProfile(depth=5))
        for topic, kind in TOPICS.items()
    }
    with MaskSubscriber(*endpoint, topics=("mask", "object3d", "health")) as stream:
        while (health := stream.newest("health")) is None:  # what makes its times those of day
            node.get_logger().info("waiting for gazecast run", once=True)
        # Stamps are times of capture: this machine's wall clock must agree with that of the one that runs gazecast.
        translator = Translator(health.wall_ns, wanted=lambda topic: outputs[topic].get_subscription_count() > 0)
        while rclpy.ok():
            mask, thing = stream.newest("mask", timeout_s=0.05), stream.newest("object3d", timeout_s=0)
            for said in (*(translator.mask(mask) if mask else ()), *(translator.object3d(thing) if thing else ())):
                outputs[said.topic].publish(said.cdr)  # rclpy takes bytes as they are


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main(*sys.argv[1:2])
