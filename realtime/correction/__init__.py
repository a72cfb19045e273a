"""Corrects the masks of a recording: events beside the file, the state that they add up to, and new masks."""
