"""Reads recordings of the companion app of Neon and Pupil Invisible, in their native format.

A stream is in parts, `NAME ps1.raw`, `NAME ps2.raw` ..., each with the times of its records in `NAME ps1.time`: int64
nanoseconds since 1970. `gaze` is float32 x, y in pixels, `worn` is a byte of 0 or 255 at the times of gaze, `blinks` is
int64 start and end. Pupil Cloud adds `gaze_200hz` without parts. `NAME.dtype` has the record of newer recordings.
"""

from __future__ import annotations

import ast
import logging
import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.pictures import sort_naturally
from realtime.errors import SourceError
from realtime.sources.gaze_files.frame_times import read_time_raw
from realtime.sources.gaze_files.trace_values import GazeTrack, Seconds
from realtime.sources.headset_recordings.recorded_parts import VideoPart

CAMERA = ("calibration.bin", "scene_camera.json")
_VIDEO = re.compile(r"(Neon Scene Camera|PI world) v\d+ ps\d+\.(mp4|mjpeg)")
_GAZE, _WORN = np.dtype([("x", "<f4"), ("y", "<f4")]), np.dtype("u1")
_BLINKS = np.dtype([("start_timestamp_ns", "<i8"), ("end_timestamp_ns", "<i8")])
log = logging.getLogger(__name__)


def list_parts(folder: Path) -> list[VideoPart]:
    """List the parts of the scene video; raises `SourceError` for times that are missing or damaged."""
    videos = sort_naturally(path for path in folder.iterdir() if _VIDEO.fullmatch(path.name))
    if not videos:
        raise SourceError(
            f"{folder} is a recording of Neon or Pupil Invisible without scene video: expected "
            "'Neon Scene Camera v1 ps1.mp4' or 'PI world v1 ps1.mp4'; was the scene camera connected?"
        )
    parts = []
    for video in videos:
        times = video.with_suffix(".time")
        if not times.is_file():
            raise SourceError(f"{video} has no times: {times.name} is missing beside it; copy the whole recording")
        parts.append(VideoPart(video, to_seconds(read_time_raw(times))))
    return parts


def read_gaze(folder: Path, size: tuple[int, int]) -> GazeTrack:
    """Read gaze: of 200 Hz where there is some, else as recorded; worn and blinks make the confidence."""
    dense = folder / "gaze_200hz.raw", folder / "gaze_200hz.time"
    pairs = [dense] if all(path.is_file() for path in dense) else _list_pairs(folder, "gaze", "gaze")
    if not pairs:
        raise SourceError(f"{folder} has no gaze: expected 'gaze ps1.raw' and 'gaze ps1.time' in it")
    times, points = _read_records(folder, "gaze", pairs, _GAZE)
    names = points.dtype.names or ()
    if len(names) < 2:
        raise SourceError(f"{folder / 'gaze.dtype'} describes no x and y of gaze: {points.dtype}")
    x, y = ("x", "y") if {"x", "y"} <= set(names) else names[:2]
    confidence = _read_worn(folder, times) * ~_find_blinks(folder, times)
    return GazeTrack.from_lists(times, np.stack([points[x], points[y]], 1), confidence, pairs[0][0].name)


def to_seconds(times_ns: NDArray[np.int64]) -> Seconds:
    """Convert ns since 1970 to s; exact to a microsecond."""
    return np.asarray(times_ns * 1e-9, np.float64)


def _read_worn(folder: Path, times: Seconds) -> NDArray[np.float64]:
    """Return 1 where the headset was worn, at the nearest time that this was recorded; 1 without such a file."""
    dense = folder / "worn_200hz.raw", folder / "gaze_200hz.time"
    pairs = [dense] if all(path.is_file() for path in dense) else _list_pairs(folder, "worn", "gaze")
    if not pairs:
        return np.ones(len(times))
    at, worn = _read_records(folder, "worn", pairs, _WORN)
    values = worn if worn.dtype.names is None else worn[worn.dtype.names[0]]
    after = np.clip(np.searchsorted(at, times), 1, max(len(at) - 1, 1))
    nearest = np.where(times - at[after - 1] < at[after] - times, after - 1, after) if len(at) > 1 else after * 0
    return np.asarray(values[nearest] > 0, np.float64)


def _find_blinks(folder: Path, times: Seconds) -> NDArray[np.bool_]:
    is_blink = np.zeros(len(times), np.bool_)
    pairs = _list_pairs(folder, "blinks", "blinks")
    if pairs:
        try:
            _, blinks = _read_records(folder, "blinks", pairs, _BLINKS)
            ends = np.stack([blinks[name] for name in _BLINKS.names or ()], 1) * 1e-9
        except (SourceError, ValueError) as error:
            log.warning("blinks of the recording are not used: %s", error)
            return is_blink
        for first, last in np.searchsorted(times, ends):
            is_blink[first:last] = True
    return is_blink


def _list_pairs(folder: Path, name: str, times: str) -> list[tuple[Path, Path]]:
    """List the parts of a stream with the files of their times; a part without times is left out, with a warning."""
    pairs = []
    for raw in sort_naturally(folder.glob(f"{name} ps[0-9]*.raw")):
        at = raw.with_name(raw.name.replace(name, times, 1)).with_suffix(".time")
        if at.is_file():
            pairs.append((raw, at))
        else:
            log.warning("%s is left out: %s is missing beside it", raw, at.name)
    return pairs


def _read_records(
    folder: Path, name: str, pairs: list[tuple[Path, Path]], record: np.dtype[Any]
) -> tuple[Seconds, NDArray[Any]]:
    """Read the records of all parts and their times, s; what has no partner at the end of a part is left out."""
    described = folder / f"{name}.dtype"
    if described.is_file():
        try:
            record = np.dtype(ast.literal_eval(described.read_text()))
        except (OSError, ValueError, TypeError, SyntaxError, RecursionError, MemoryError) as error:
            raise SourceError(f"{described} does not describe a record: {error}") from None
    fields = [record[name] for name in record.names or ()] or [record]
    if not 0 < record.itemsize <= 4096 or any(field.kind not in "iuf" for field in fields):
        raise SourceError(f"{described} does not describe a record of numbers: {record}")
    times, records = [], []
    for raw, at in pairs:
        try:
            data = raw.read_bytes()
        except OSError as error:
            raise SourceError(f"cannot read {raw}: {error.strerror or error}") from None
        values = np.frombuffer(data[: len(data) // record.itemsize * record.itemsize], record)
        stamps = read_time_raw(at)
        count = min(len(values), len(stamps))
        if count < max(len(values), len(stamps)):
            log.warning(
                "%s has %d records, %s has %d times; the rest is left out", raw, len(values), at.name, len(stamps)
            )
        times.append(to_seconds(stamps[:count]))
        records.append(values[:count])
    if not sum(map(len, records)):
        raise SourceError(f"{pairs[0][0]} is empty; nothing was recorded")
    return np.concatenate(times), np.concatenate(records)
