"""Tells the recording of a headset from a folder of pictures, by the names of its files. Light and pure."""

from __future__ import annotations

import fnmatch
import os
from pathlib import Path
from typing import Literal

RecordingKind = Literal["core", "companion", "export", "tobii"]
"""Of Pupil Capture or Player; of the companion app of Neon and Invisible; of Pupil Cloud's or Player's export; of Tobii
Pro Glasses 3."""
_SIGNS: dict[RecordingKind, tuple[tuple[str, ...], ...]] = {
    "core": (("info.player.json",), ("world_timestamps.npy",)),
    "companion": (
        ("info.json", "* ps[0-9]*.time"), ("Neon Scene Camera v* ps[0-9]*.mp4",), ("PI world v* ps[0-9]*.mp4",),
    ),
    "export": (("world_timestamps.csv", "*.mp4"),),
    "tobii": (("recording.g3",), ("scenevideo.mp4", "gazedata.gz")),
}  # fmt: skip
"""Patterns of names: a folder is of a kind if all patterns of one of its rows are found."""
_GAZE: dict[RecordingKind, tuple[str, ...]] = {
    "core": ("gaze.pldata", "offline_data/gaze-mappings/*.pldata", "exports/*/gaze_positions.csv"),
    "companion": ("gaze_200hz.raw", "gaze ps[0-9]*.raw"),
    "export": ("gaze.csv", "gaze_positions.csv"),
    "tobii": ("gazedata.gz", "gazedata"),
}


def detect_recording(folder: Path) -> RecordingKind | None:
    """Return the kind of recording that a folder is; None for a file, a folder of pictures, or what is not there."""
    try:
        names = os.listdir(folder)
    except (OSError, ValueError):
        return None
    for kind, rows in _SIGNS.items():
        if any(all(fnmatch.filter(names, pattern) for pattern in patterns) for patterns in rows):
            return kind
    return None


def find_gaze_files(folder: Path, kind: RecordingKind) -> list[Path]:
    """List the files of gaze of a recording, those that are read first at the beginning."""
    return [path for pattern in _GAZE[kind] for path in sorted(folder.glob(pattern))]


def has_recorded_gaze(folder: Path) -> bool:
    """Check whether a folder is a recording with files of gaze."""
    kind = detect_recording(folder)
    return kind is not None and bool(find_gaze_files(folder, kind))


def list_recordings(folder: Path) -> list[str]:
    """List the names of the folders in a folder that are recordings, as a download or a day of recordings has them."""
    try:
        return sorted(path.name for path in folder.iterdir() if detect_recording(path) is not None)
    except OSError:
        return []
