"""Runs the whole program as real processes: a device, a run, subscribers and viewers."""
