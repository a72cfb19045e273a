"""Reads gaze from the files of many programs."""
