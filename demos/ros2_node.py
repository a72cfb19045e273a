"""Publish gazecast's stream as ROS 2 topics: python3 demos/ros2_node.py [tcp://HOST:PORT], where ROS 2 is sourced.

Tested with a stand-in for rclpy only, not in a ROS 2 graph; the bytes that it publishes are those of the bags and of
Foxglove, which independent readers have read. Needs vision_msgs, and gazecast[robotics] in ROS's Python.
"""

import contextlib
import sys

import rclpy
from rclpy.node import Node
from rclpy.qos import QoSProfile
from rosidl_runtime_py.utilities import get_message

from realtime import MaskSubscriber
from realtime.robotics.ros2.topics import TOPICS, MessageTranslator, name_ros_topic


def main(*endpoint: str) -> None:
    """Publish until ROS shuts down."""
    rclpy.init()
    node, outputs, last = Node("gazecast"), {}, -1
    with MaskSubscriber(*endpoint, topics=("mask", "object3d", "health")) as stream:
        while rclpy.ok():
            health = stream.newest("health", timeout_s=0 if outputs else 1)
            if health and not outputs:
                for topic, kind in TOPICS.items():
                    name = name_ros_topic(health.stream, topic)
                    outputs[topic] = node.create_publisher(get_message(kind), name, QoSProfile(depth=5))
            if health and not 0 <= last <= health.seq:  # a new run, perhaps on a rebooted machine: its clock differs
                # Stamps are times of capture: this machine's wall clock must agree with that of the run's machine.
                translator = MessageTranslator(
                    health.wall_ns, is_wanted=lambda topic: outputs[topic].get_subscription_count() > 0
                )
            last = health.seq if health else last
            if not outputs:
                node.get_logger().info("waiting for gazecast run", once=True)
                continue
            mask, object3d = stream.newest("mask", timeout_s=0.05), stream.newest("object3d", timeout_s=0)
            for message in (
                *(translator.translate_mask(mask) if mask else ()),
                *(translator.translate_object3d(object3d) if object3d else ()),
            ):
                outputs[message.topic].publish(message.cdr)  # rclpy takes bytes as they are


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main(*sys.argv[1:2])
