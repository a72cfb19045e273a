"""Reads recordings of Pupil Capture, also those that Pupil Player converted from other headsets.

A part of the scene video is `world.mp4` (then `world_001.mp4` ...) with `world_timestamps.npy` beside it, seconds on
Pupil's clock. `gaze.pldata` is a sequence of msgpack pairs: topic, and the datum as msgpack again.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from pathlib import Path

import msgpack
import numpy as np

from engines.pictures import sort_naturally
from realtime.errors import SourceError
from realtime.sources.gaze_files.frame_times import MAX_TIME_S, read_time_array
from realtime.sources.gaze_files.trace import read_track
from realtime.sources.gaze_files.trace_values import ClipFacts, GazeTrack, TraceOptions
from realtime.sources.headset_recordings.detection import find_gaze_files
from realtime.sources.headset_recordings.recorded_parts import VideoPart

CAMERA = ("world.intrinsics",)
_VIDEO = re.compile(r"world(_\d+)?\.(mp4|mkv|avi|mjpeg|h264)")
_MAX_DATUM_BYTES = 10_000_000
log = logging.getLogger(__name__)


def list_parts(folder: Path) -> list[VideoPart]:
    """List the parts of the scene video; raises `SourceError` for times that are missing or damaged."""
    videos = sort_naturally(path for path in folder.iterdir() if _VIDEO.fullmatch(path.name))
    if not videos:
        raise SourceError(
            f"{folder} is a recording of Pupil Core without scene video: expected world.mp4; was the world camera on?"
        )
    parts = []
    for video in videos:
        times = video.with_name(f"{video.stem}_timestamps.npy")
        if not times.is_file():
            raise SourceError(f"{video} has no times: {times.name} is missing beside it; copy the whole recording")
        parts.append(VideoPart(video, read_time_array(times)))
    return parts


def read_gaze(folder: Path, size: tuple[int, int]) -> GazeTrack:
    """Read gaze as recorded, else as mapped afterwards, else as exported; raises `SourceError`."""
    reasons = []
    for path in find_gaze_files(folder, "core"):
        try:
            if path.suffix == ".csv":
                return read_track(path, ClipFacts(size), TraceOptions(start_s=0.0))
            return _read_pldata(path, size)
        except SourceError as error:
            reasons.append(str(error))
    raise SourceError("; ".join(reasons) or f"{folder} has no gaze")


def _read_pldata(path: Path, size: tuple[int, int]) -> GazeTrack:
    times, points, confidence, damaged = [], [], [], 0
    for topic, payload in _read_pairs(path):
        if not topic.startswith("gaze"):
            continue
        try:
            datum = msgpack.unpackb(payload, raw=False, strict_map_key=False)
            time, sure = float(datum["timestamp"]), float(datum.get("confidence", 1.0))
            x, y = (float(value) for value in datum.get("norm_pos") or (np.nan, np.nan))
        except Exception:  # msgpack raises a dozen types for invalid bytes
            damaged += 1
            continue
        if not abs(time) < MAX_TIME_S:
            damaged += 1
            continue
        times.append(time)
        points.append((x * size[0], (1 - y) * size[1]))
        confidence.append(sure)
    if damaged:
        log.warning("%s: %d gaze data are damaged and left out", path, damaged)
    if not times:
        raise SourceError(f"{path} holds no gaze; was Pupil Capture calibrated, and its pupil detection on?")
    return GazeTrack.from_lists(times, points, confidence, path.name)


def _read_pairs(path: Path) -> Iterator[tuple[str, bytes]]:
    """Yield topic and payload to the end, or to where the file is damaged or cut off."""
    try:
        with path.open("rb") as file:
            unpacker = msgpack.Unpacker(file, raw=False, max_buffer_size=_MAX_DATUM_BYTES)
            for pair in unpacker:
                if (
                    isinstance(pair, list)
                    and len(pair) == 2
                    and isinstance(pair[0], str)
                    and isinstance(pair[1], bytes)
                ):
                    yield pair[0], pair[1]
    except OSError as error:
        raise SourceError(f"cannot read {path}: {error.strerror or error}") from None
    except Exception as error:  # as above
        log.warning("%s is damaged, its rest is left out: %s", path, error)
