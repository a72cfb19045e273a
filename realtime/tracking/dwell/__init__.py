"""Decides which object is looked at, for how long, and whether it is the same one. Pure; time is an argument."""
