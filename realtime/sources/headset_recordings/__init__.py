"""Plays the recordings of eye-tracking headsets, which are folders: scene video, its times, gaze and camera."""
