"""Publishes ROS 2 messages without ROS, in a file or live.

Conventions: REP-103 (metres, radians, right-handed; `_optical_frame` is x right, y down, z forward), REP-105 (names of
frames). Every header's stamp is the time at which the frame was captured, on the wall clock: `captured_ns`, which is on
the host's monotonic clock, plus the wall clock minus the monotonic clock (`health.wall_ns`, `RecordingInfo.wall_ns`),
read once at the start, so that all messages about one frame carry the very same stamp.
"""
