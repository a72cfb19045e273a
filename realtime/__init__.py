"""Time and streams: sources, clocks, fixation, keyframes, motion, tracking, pipeline, wire, command."""
