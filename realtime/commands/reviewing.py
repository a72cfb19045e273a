"""`gazecast review`: serve the page of a recording until Ctrl-C."""

from __future__ import annotations

import threading
from pathlib import Path

from realtime.commands.replay import described
from realtime.config.viewer import ViewSettings
from realtime.infra.interrupts import InterruptHandler
from realtime.infra.progress import ProgressReporter
from realtime.recording.labels import labels_path
from realtime.viewer.review_page import ReviewPage

POLL_S = 0.1


def review(
    settings: ViewSettings, file: Path, progress: ProgressReporter, *, stop: threading.Event | None = None
) -> None:
    """Serve until interrupted or until `stop` is set; raises `RecordingError` and `ViewerError` when it cannot start."""
    stop = stop or threading.Event()
    with InterruptHandler() as interrupts:
        page = ReviewPage(settings, file)
        try:
            progress.show_line(described(page.timeline.recording))
            progress.show_line(f"open {page.address}")
            progress.show_line(f"names and what is dropped are kept in {labels_path(file)}; Ctrl-C stops")
            while not (stop.is_set() or interrupts.is_requested):
                stop.wait(POLL_S)
        finally:
            page.close()
