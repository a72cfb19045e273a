"""Records runs into one MCAP file each, and reads them: all input, all output, and every tracker call.

    source/frame   msgpack: index, timestamp, captured_ns, received_ns, format (jpeg, png), exact, data
    source/gaze    msgpack: a list, `format.SAMPLE_FIELDS`
    loop/turn      msgpack: one `TrackerCall` with its inputs
    mask, keyframe, overlay, health ...   each published map, byte for byte, without topic and NUL

Times are as everywhere: `timestamp` on the source's clock, `_ns` on the host's monotonic clock. The file's own log
times are wall-clock nanoseconds; `RecordingInfo.wall_ns` is the difference. Messages are in the order in which they
happened, in chunks that end every half second, so that a truncated file is complete up to its last chunk.
"""
