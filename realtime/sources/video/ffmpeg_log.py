"""Keeps FFmpeg's log off, which Pupil Labs' packages turn on when they are imported.

PyAV's log callback takes the interpreter's lock on FFmpeg's own threads. Closing a decoder holds that lock and waits
for these threads, so that both would wait for ever.
"""

from __future__ import annotations

import av


def silence_ffmpeg() -> None:
    """Turn the log off for the process."""
    av.logging.set_level(None)
