"""Simulates Tobii Pro Glasses 3, after the public description of their network API."""
