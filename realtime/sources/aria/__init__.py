"""Receives frames and gaze of Project Aria glasses (Gen 2) through their maker's client, in a process of its own.

The client has dependencies that contradict others, and ends its process where a recording is damaged.
"""
