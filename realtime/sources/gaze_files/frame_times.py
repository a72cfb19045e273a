"""Reads the times of a clip's frames on the eye tracker's clock, from the files that its programs write beside it."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibration.text import decode_text
from realtime.errors import SourceError
from realtime.sources.gaze_files.trace_values import Seconds

TABLE, ARRAY = "world_timestamps.csv", "world_timestamps.npy"
"""Of exports of Pupil Player and Pupil Cloud, and of recordings of Pupil Core."""
MAX_TIME_S = 1e12
"""No clock of a device is later."""


def find_clip_start(trace: Path, clip: Path | None) -> float | None:
    """Find the time of the clip's first frame, s, in files beside the trace or the clip; None without them.

    Raises `SourceError` for such a file that cannot be read.
    """
    for folder in dict.fromkeys(path.parent for path in (trace, clip) if path is not None):
        if (folder / TABLE).is_file():
            return float(read_time_table(folder / TABLE)[0])
        if (folder / ARRAY).is_file():
            return float(read_time_array(folder / ARRAY)[0])
    exported_from = trace.parent.parent.parent / ARRAY  # Pupil Player exports to RECORDING/exports/000
    return float(read_time_array(exported_from)[0]) if exported_from.is_file() else None


def read_time_table(path: Path) -> Seconds:
    """Read a CSV of frame times, s: the column whose name has "timestamp", in ns where its name says so."""
    try:
        names, *rows = csv.reader(io.StringIO(decode_text(path.read_bytes()), newline=""))
        column = next(index for index, name in enumerate(names) if "timestamp" in name.lower())
        times = np.array([float(row[column]) for row in rows if row])
    except (OSError, ValueError, IndexError, StopIteration, csv.Error) as error:
        raise SourceError(f"{path} is no table of frame times ({error}); expected a column of timestamps") from None
    return _check_times(path, times * (1e-9 if "[ns]" in names[column].lower() else 1.0))


def read_time_array(path: Path) -> Seconds:
    """Read a NumPy array of times, s."""
    return _check_times(path, load_array(path))


def read_time_raw(path: Path) -> NDArray[np.int64]:
    """Read a companion app's file of times, ns since 1970, little endian; a cut last one is left out."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise SourceError(f"cannot read {path}: {error.strerror or error}") from None
    times = np.frombuffer(data[: len(data) // 8 * 8], "<i8")
    if not len(times):
        raise SourceError(f"{path} is empty; expected times of 8 bytes each")
    return times


def load_array(path: Path) -> NDArray[Any]:
    """Load a NumPy array that holds no Python objects; raises `SourceError`."""
    try:
        return np.asarray(np.load(path, allow_pickle=False))
    except Exception as error:  # NumPy parses the header as Python, which raises many types
        raise SourceError(f"{path} cannot be read as a NumPy array: {error}") from None


def _check_times(path: Path, times: NDArray[Any]) -> Seconds:
    try:
        seconds = np.asarray(times, np.float64)
    except (TypeError, ValueError):
        seconds = np.empty(0)
    if seconds.ndim != 1 or not len(seconds) or not (np.abs(seconds) < MAX_TIME_S).all():
        raise SourceError(f"{path} holds no times; expected one finite number of seconds a frame")
    return seconds
