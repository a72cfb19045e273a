"""Opens sources of frames, gaze and depth, one module per kind of source."""
