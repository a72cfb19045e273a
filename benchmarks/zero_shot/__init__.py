"""Measures edges, proposals and named instances of still pictures with the usual tools of each task."""
