"""Stands for the gaze of a run without any, in which a word alone selects the object."""

from __future__ import annotations

from realtime.types import GazeSource, OnEvent, OnGaze, SourceStatus


class NoGaze(GazeSource):
    """A gaze source without samples."""

    def start(self, on_gaze: OnGaze, on_event: OnEvent | None = None) -> None:
        """Do nothing."""

    def stop(self) -> None:
        """Do nothing."""

    def status(self) -> SourceStatus:
        """Return `idle`, with what the user can do."""
        return SourceStatus("idle", "there is no gaze; give a word (--word, the page, or a request)")
