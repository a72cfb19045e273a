"""Reads frames and depth of Intel RealSense cameras by pyrealsense2."""
