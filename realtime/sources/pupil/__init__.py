"""Receives frames, gaze and depth from Pupil-compatible devices."""
