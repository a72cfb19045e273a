"""Publishes the selected object for robots: its place in 3D, ROS 2 messages, and a LeRobot camera."""
