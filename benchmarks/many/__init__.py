"""Measures and plans many wearers on one engine."""
