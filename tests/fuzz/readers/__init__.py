"""Every reader of bytes from outside, the errors that it may raise, and valid inputs from which others are made."""

from __future__ import annotations

from tests.fuzz.readers import (
    connections,
    devices,
    engine_files,
    gaze_files,
    messages,
    pages,
    recordings,
    settings_files,
)

READERS = {
    reader.name: reader
    for module in (messages, pages, devices, connections, settings_files, recordings, gaze_files, engine_files)
    for reader in module.READERS
}
