"""Turns frames, gaze and keyframes into the mask of what is looked at. Pure: no thread, clock or socket."""
