"""Plays video files and captures cameras and network streams."""
