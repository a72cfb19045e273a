"""Receives frames, gaze and eye events of Pupil Labs' Neon and Invisible from the phone that they are plugged into.

On Pupil Labs' own client, the extra `neon`.
"""
