"""Draws a recording's latencies, states and gaze over time."""
