"""Simulates an eye tracker, its wearer and the scenes in front of it."""
