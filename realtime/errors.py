"""Defines every error that a user, a device or a peer can cause. Each has the base `GazecastError`. Imports nothing.

The message says what came, what was expected and what to do. Errors of `engines` and `calibration` are theirs.
"""

from __future__ import annotations


class GazecastError(Exception):
    """An error that a user, a device or a peer can cause."""


class SettingsError(GazecastError, ValueError):
    """An unknown key or a value that does not fit."""


class InputError(GazecastError, ValueError):
    """A frame, time or gaze that a program passed and that cannot be processed."""


class SourceError(GazecastError):
    """A source that cannot be used as it was named; the message says what came, what was expected and what to do."""


class TransportError(GazecastError):
    """An address that cannot be used, or a peer that does not answer; the message says what to do."""


class RequestTimeout(TransportError):
    """The peer did not answer in time; the next request starts afresh."""


class WireError(GazecastError, ValueError):
    """A message that does not follow the contract; names the field, what came and what was expected."""


class RunFailed(GazecastError, RuntimeError):
    """The run ended by itself, and not as it was meant to; the message says why."""


class CommandRejected(GazecastError):
    """A user's command that cannot be carried out now; the message says why."""


class WindowError(GazecastError, RuntimeError):
    """No window can be opened on this machine."""


class PageError(GazecastError, ValueError):
    """A message from a page that is not as it should be; it is counted and passed over."""


class ViewerError(SettingsError):
    """The page cannot be served; the message says what to do."""


class SnapshotError(SettingsError):
    """A snapshot could not be written; the message says why."""


class VideoError(SourceError):
    """A video cannot be written; the message says why and what to do. begun: whether it went well for a while."""

    def __init__(self, message: str, *, begun: bool = False) -> None:
        super().__init__(message)
        self.begun = begun


class RecordingError(SourceError):
    """A recording that cannot be written or read; the message says which and why."""


class DwellSettingsError(GazecastError, ValueError):
    """A setting of the dwell machine is outside what makes sense; the message says what would."""


class GazeSettingsError(GazecastError, ValueError):
    """A setting of the gaze filter is outside what makes sense; the message says what would."""


class Ros2Error(SettingsError):
    """Something that cannot be said in ROS 2, or a library that is missing; the message says what to do."""


class AnnotationError(GazecastError, ValueError):
    """Annotations that belong to no picture or category, or that are no JSON."""


class DemoError(SourceError):
    """The demo's pipeline did not start, ended early or gave no masks; the message says why."""


class ClipError(SourceError):
    """A clip cannot be had, or a video cannot be written; the message says what to do."""
