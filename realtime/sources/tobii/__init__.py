"""Receives frames and gaze of Tobii Pro Glasses 3."""
