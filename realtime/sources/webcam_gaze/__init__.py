"""Provides gaze on the picture of a page, from a webcam that films the eyes of the person in front of it."""
