"""Serves many wearers by one engine."""
