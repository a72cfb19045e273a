"""Defines the errors of calibration; each message says what came, what was expected and what to do."""

from __future__ import annotations


class CalibrationError(Exception):
    """An error in data, a file or an argument, the base of all calibration errors."""


class RecordError(CalibrationError):
    """An error for a calibration file that is unreadable or belongs to another device."""
