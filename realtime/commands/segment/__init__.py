"""Segments still pictures from points, boxes, or automatically."""
