"""Our errors: what came, what was expected, what to do."""

from __future__ import annotations


class CalibrationError(Exception):
    """Anything that data, a file or a user can get wrong here; catch this to catch all of them."""


class RecordError(CalibrationError):
    """A calibration file that cannot be read, or that belongs to something else."""
