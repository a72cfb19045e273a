"""Recordings: one MCAP file with all that came in, all that was published, and what the loop did when.

    source/frame   msgpack: index, timestamp, captured_ns, received_ns, format (jpeg, png), data
    source/gaze    msgpack: a list, `format.SAMPLE_FIELDS`
    loop/turn      msgpack: one call of the tracker and what came into it; `turns.TrackerCall`
    mask, keyframe, overlay, health ...   each published map, byte for byte, without topic and NUL

Times inside are as everywhere: `timestamp` on the source's clock, `_ns` on the host's monotonic clock. The file's own
log times are wall-clock nanoseconds; `RecordingInfo.wall_ns` lies between the two. Messages stand in the order in which
they happened, in chunks that end every half second, so that a file that was cut off is whole up to there.
"""
