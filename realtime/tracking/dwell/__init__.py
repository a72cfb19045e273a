"""Decides which object is fixated, for how long, and whether it is the same one. Pure; time is an argument."""
