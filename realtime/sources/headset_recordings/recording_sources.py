"""Plays the recording of a headset: frames at their recorded times, and gaze on the same clock."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from calibration import CalibrationError, CameraModel
from calibration.formats import read_camera
from realtime.errors import SourceError
from realtime.sources.gaze_files.trace_checks import check_confidence
from realtime.sources.gaze_files.trace_gaze import TraceGaze
from realtime.sources.gaze_files.trace_values import GazeTrack
from realtime.sources.headset_recordings import companion, exports, pupil_core
from realtime.sources.headset_recordings.detection import RecordingKind, detect_recording, find_gaze_files
from realtime.sources.headset_recordings.recorded_parts import VideoPart
from realtime.sources.headset_recordings.scene_video import SceneVideo
from realtime.sources.video.video_file import VideoFrames

MAX_PX = 1e6
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RecordingFormat:
    """Holds how a kind of recording is read. camera: names of the files with the scene camera's model."""

    list_parts: Callable[[Path], Sequence[VideoPart]]
    read_gaze: Callable[[Path, tuple[int, int]], GazeTrack]
    camera: tuple[str, ...]


FORMATS: dict[RecordingKind, RecordingFormat] = {
    "core": RecordingFormat(pupil_core.list_parts, pupil_core.read_gaze, pupil_core.CAMERA),
    "companion": RecordingFormat(companion.list_parts, companion.read_gaze, companion.CAMERA),
    "export": RecordingFormat(exports.list_export_parts, exports.read_export_gaze, exports.CAMERA),
    "tobii": RecordingFormat(exports.list_tobii_parts, exports.read_tobii_gaze, exports.TOBII_CAMERA),
}


class RecordingFrames(VideoFrames):
    """A `FrameSource` that plays the scene video of a headset's recording at its recorded times.

    start_s: time of the first frame on the headset's clock.
    """

    def __init__(self, video: SceneVideo, kind: RecordingKind, *, loop: bool, real_time: bool) -> None:
        super().__init__(video.path, loop=loop, real_time=real_time, clip=video)
        self.start_s, self.format = video.start_s, FORMATS[kind]


class CameraRecordingFrames(RecordingFrames):
    """A `CameraSource`: the scene video of a recording that has the model of its camera."""

    def __init__(
        self, video: SceneVideo, kind: RecordingKind, camera: tuple[str, CameraModel], *, loop: bool, real_time: bool
    ) -> None:
        super().__init__(video, kind, loop=loop, real_time=real_time)
        self.camera_name, self._camera = camera

    def camera_model(self) -> CameraModel:
        """Return the model of the scene camera."""
        return self._camera


def open_recording(folder: Path, *, loop: bool, real_time: bool, hwaccel: str = "none") -> RecordingFrames:
    """Open the scene video of a recording, as a `CameraSource` where it has the camera's model.

    hwaccel: see `sources/video/hardware.py`. Raises `SourceError` unless a first frame can be read.
    """
    kind = detect_recording(folder)
    if kind is None:
        raise SourceError(f"{folder} is no recording of a headset")
    video = SceneVideo(folder, FORMATS[kind].list_parts(folder), hwaccel=hwaccel)
    if not find_gaze_files(folder, kind):
        log.warning("%s has no gaze of its own, only its scene video", folder)
    camera = read_recorded_camera(folder, kind, video.size)
    if camera is None:
        return RecordingFrames(video, kind, loop=loop, real_time=real_time)
    return CameraRecordingFrames(video, kind, camera, loop=loop, real_time=real_time)


def read_recorded_camera(folder: Path, kind: RecordingKind, size: tuple[int, int]) -> tuple[str, CameraModel] | None:
    """Read (name, model) of the scene camera for frames of `size`; None, with a warning, where it cannot be used."""
    path = next((folder / name for name in FORMATS[kind].camera if (folder / name).is_file()), None)
    if path is None:
        return None
    try:
        return read_camera(path, size)
    except CalibrationError as error:
        log.warning("the recording's camera model is not used: %s", error)
        return None


def find_recorded_camera(folder: Path, size: tuple[int, int]) -> CameraModel | None:
    """Read the model of the scene camera of a recording; None for one without, or for what is no recording."""
    kind = detect_recording(folder)
    found = None if kind is None else read_recorded_camera(folder, kind, size)
    return None if found is None else found[1]


def open_recorded_gaze(frames: RecordingFrames, min_confidence: float) -> TraceGaze:
    """Open the gaze of the recording that `frames` plays; raises `SourceError`.

    A camera model gives each sample the pixels per degree. min_confidence: refused below it everywhere.
    """
    gaze = frames.format.read_gaze(frames.path, frames.size)
    times = gaze.times - frames.start_s
    if frames.duration_s is not None and not ((times >= 0) & (times <= frames.duration_s)).any():
        raise SourceError(
            f"{frames.path}: {gaze.origin} has gaze from {gaze.times[0]:.15g} to {gaze.times[-1]:.15g} s and none "
            f"during the video, from {frames.start_s:.15g} to {frames.start_s + frames.duration_s:.15g} s; are both of "
            "this recording?"
        )
    if not np.isfinite(gaze.points).all():
        raise SourceError(f"{frames.path}: {gaze.origin} has no gaze point in the scene video; was it calibrated?")
    check_confidence(frames.path / gaze.origin, gaze.confidence, min_confidence)
    log.info("gaze of %s is read from %s", frames.path, gaze.origin)
    track = replace(gaze, times=times, points=np.clip(gaze.points, -MAX_PX, MAX_PX))
    scale = None
    if isinstance(frames, CameraRecordingFrames):
        camera = frames.camera_model()
        scale = camera.px_per_degree_along(camera.unproject(track.points))
    return TraceGaze(track.to_points(scale), frames.clock)
