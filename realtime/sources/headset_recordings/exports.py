"""Reads folders with a scene video and a table of gaze: exports of Pupil Cloud and Player, Tobii Pro Glasses 3.

An export of Pupil Cloud ("Timeseries Data + Scene Video") and of Pupil Player has the times of the video's frames in
`world_timestamps.csv`. In a recording of Tobii Pro Glasses 3 gaze is on the clock of `scenevideo.mp4`.
"""

from __future__ import annotations

from pathlib import Path

from engines.pictures import sort_naturally
from realtime.errors import SourceError
from realtime.sources.gaze_files.frame_times import TABLE, read_time_table
from realtime.sources.gaze_files.trace import read_track
from realtime.sources.gaze_files.trace_values import ClipFacts, GazeTrack, TraceOptions
from realtime.sources.headset_recordings.detection import RecordingKind, find_gaze_files
from realtime.sources.headset_recordings.recorded_parts import VideoPart

CAMERA = ("scene_camera.json", "world.intrinsics")
TOBII_CAMERA = ("recording.g3",)
_TOBII_VIDEO = "scenevideo.mp4"


def list_export_parts(folder: Path) -> list[VideoPart]:
    """List the one scene video of an export; raises `SourceError` where there are several."""
    videos = sort_naturally(folder.glob("*.mp4"))
    if len(videos) > 1:
        videos = [video for video in videos if video.stem.startswith("world")] or videos
    if len(videos) != 1:
        names = ", ".join(video.name for video in videos)
        raise SourceError(f"{folder} has {len(videos)} videos ({names:.200}); expected the scene video alone")
    return [VideoPart(videos[0], read_time_table(folder / TABLE))]


def list_tobii_parts(folder: Path) -> list[VideoPart]:
    """List the scene video of a recording of Tobii Pro Glasses 3; its frames have their own times."""
    if not (folder / _TOBII_VIDEO).is_file():
        raise SourceError(f"{folder} is a recording of Tobii Pro Glasses 3 without {_TOBII_VIDEO}; copy all of it")
    return [VideoPart(folder / _TOBII_VIDEO, None)]


def read_export_gaze(folder: Path, size: tuple[int, int]) -> GazeTrack:
    """Read the gaze of an export; raises `SourceError`."""
    return _read_file(folder, "export", size)


def read_tobii_gaze(folder: Path, size: tuple[int, int]) -> GazeTrack:
    """Read the gaze of a recording of Tobii Pro Glasses 3; raises `SourceError`."""
    return _read_file(folder, "tobii", size)


def _read_file(folder: Path, kind: RecordingKind, size: tuple[int, int]) -> GazeTrack:
    files = find_gaze_files(folder, kind)
    if not files:
        raise SourceError(f"{folder} has no gaze")
    return read_track(files[0], ClipFacts(size), TraceOptions(start_s=0.0))
