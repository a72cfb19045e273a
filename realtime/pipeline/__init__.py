"""Runs the threads that turn frames and gaze into published masks. Begin with `pipeline`."""
