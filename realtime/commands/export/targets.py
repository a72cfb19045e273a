"""Defines the targets of an export, and refuses those that must not be written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from realtime.errors import RecordingError
from realtime.recording.labels import labels_path
from realtime.recording.reader import RecordingReader

ANNOTATIONS = "annotations.json"
OnTime = Callable[[int], None]
"""Receives the host time of each event that an export reads, ns; may raise to end the export."""


@dataclass(frozen=True, slots=True)
class ExportTargets:
    """Holds the file or folder of each export, None without that export, and the options.

    any_format: the video's ending may follow the encoder, as the user did not name a file. every_s: one picture of
    each object in so many seconds, 0 for all. sa1b: also a JSON file for each picture. force: replace existing targets.
    """

    video: Path | None = None
    csv: Path | None = None
    coco: Path | None = None
    ros2: Path | None = None
    any_format: bool = False
    every_s: float = 1.0
    sa1b: bool = False
    force: bool = False


def check_target(path: Path, recording: RecordingReader, *, force: bool, is_folder: bool = False) -> None:
    """Refuse an existing target without force, and one that even force must not replace; raises `RecordingError`."""
    if is_folder and path.is_dir() and not any(path.iterdir()):
        return
    if not path.exists():
        if path.is_symlink():
            raise RecordingError(f"{path} is a link to nothing; remove it or name another target")
        return
    if path.samefile(recording.path):
        raise RecordingError(f"{path} is the recording itself; name another target")
    if (labels := labels_path(recording.path)).exists() and path.samefile(labels):
        raise RecordingError(f"{path} holds the recording's labels; name another target")
    if not ((path / ANNOTATIONS).is_file() if is_folder else path.is_file()):
        expected = "no data set of an export" if is_folder else "no plain file"
        raise RecordingError(f"{path} is there and is {expected}; it is not replaced, name another target")
    if not force:
        raise RecordingError(f"{path} exists; replace it with --force, or name another target")


def format_count(number: int, text: str) -> list[str]:
    """Format a count for a report; empty if it is 0."""
    return [f"{number} {text}"] if number else []
