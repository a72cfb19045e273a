"""Draws overlays and writes pictures, videos and files."""
