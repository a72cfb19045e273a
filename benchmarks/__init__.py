"""Measurements. Run them from the repository: `python -m benchmarks.NAME`."""
