"""Defines every error that a user, a device or a peer can cause. Each has the base `GazecastError`. Imports nothing.

The message names the value, the expected one and what to do. Errors of `engines` and `calibration` are their own.
"""

from __future__ import annotations


class GazecastError(Exception):
    """An error that a user, a device or a peer can cause."""


class SettingsError(GazecastError, ValueError):
    """An unknown configuration key, or a value that does not fit."""


class InputError(GazecastError, ValueError):
    """A frame, time or gaze that a program passed and that cannot be processed."""


class SourceError(GazecastError):
    """A source that cannot be used as it was named."""


class OfferError(SourceError):
    """An offer of a sender over WebRTC cannot be used."""


class TransportError(GazecastError):
    """An address that cannot be used, or a peer that does not reply."""


class AccessError(TransportError):
    """A key that is missing, damaged or not allowed, or an address that needs one."""


class RequestTimeout(TransportError):
    """A request without a reply within its time limit; the next request starts anew."""


class WireError(GazecastError, ValueError):
    """A message that does not follow the wire contract; names the field, the value and the expected one."""


class RunFailed(GazecastError, RuntimeError):
    """A run that ended by itself, before it was stopped."""


class ClusterError(GazecastError):
    """A cluster that cannot be reached or used as it was asked for."""


class CommandRejected(GazecastError):
    """A user's command that cannot be carried out now."""


class SessionRefused(GazecastError):
    """A session that a host cannot open or find."""


class WindowError(GazecastError, RuntimeError):
    """A window that cannot be opened on this machine."""


class PageError(GazecastError, ValueError):
    """A malformed message from a page; it is counted and skipped."""


class ViewerError(SettingsError):
    """A page that cannot be served."""


class SnapshotError(SettingsError):
    """A snapshot that cannot be written."""


class VideoError(SourceError):
    """A video that cannot be written. begun: whether frames were written before."""

    def __init__(self, message: str, *, begun: bool = False) -> None:
        super().__init__(message)
        self.begun = begun


class LearningError(GazecastError, ValueError):
    """Looks that cannot be learned from, or an adapter that cannot be used."""


class RecordingError(SourceError):
    """A recording that cannot be written or read."""


class DwellSettingsError(GazecastError, ValueError):
    """A setting of the dwell state machine that is out of range."""


class GazeSettingsError(GazecastError, ValueError):
    """A setting of the gaze filter that is out of range."""


class Ros2Error(SettingsError):
    """A value that ROS 2 messages cannot hold, or a missing library."""


class AnnotationError(GazecastError, ValueError):
    """Annotations without picture or category, or that are not JSON."""


class DemoError(SourceError):
    """A demo whose pipeline did not start, ended early or made no masks."""


class ClipError(SourceError):
    """A clip that cannot be fetched, or a video that cannot be written."""
