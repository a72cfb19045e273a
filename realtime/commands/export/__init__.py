"""Exports a recording as video, table, COCO data set and ROS 2 bag."""
