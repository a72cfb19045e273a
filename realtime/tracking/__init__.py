"""Turns frames, gaze and keyframes into the mask of the object under the gaze. Pure: no thread, clock or socket."""
