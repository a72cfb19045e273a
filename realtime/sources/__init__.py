"""Where frames and gaze come from, opened by a text such as `pupil://127.0.0.1:50020` or `file:clip.mp4`."""

from __future__ import annotations

from realtime.sources.base import FrameSource, GazeSource, SourceError, SourceStatus

__all__ = ["FrameSource", "GazeSource", "SourceError", "SourceStatus"]
