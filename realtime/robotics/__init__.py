"""Publishes what is looked at to robots: 3D objects, ROS 2 messages, and a LeRobot camera."""
