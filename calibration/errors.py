"""Defines the errors of calibration; each message gives the actual and the expected value, and the remedy."""

from __future__ import annotations


class CalibrationError(Exception):
    """An error in data, a file or an argument, the base of all calibration errors."""


class RecordError(CalibrationError):
    """An error for a calibration file that is unreadable or belongs to another device."""
