"""Measures motion between frames: dense optical flow in a bounded ring, chained back to any older frame.

A map holds, for every pixel of the *newer* frame, its position in the *older* one. A mask of the older frame is carried
forward by sampling it there, without holes, and a gaze point is carried back by one look-up.
"""
