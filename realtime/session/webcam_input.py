"""Opens gaze by webcam: `webcam`, whose camera is the page's, or `webcam:N`, a camera of this machine.

`webcam:SOURCE` is any other source of frames that shows a face, such as a telephone's rtsp:// or a clip.
"""

from __future__ import annotations

from pathlib import Path

from engines import weights
from engines.landmarks.face_landmarker import MODEL, FaceLandmarker
from realtime.config.webcam import WebcamSettings
from realtime.errors import SourceError
from realtime.infra.progress import ProgressReporter
from realtime.session.inputs import open_frames
from realtime.sources.browser import BrowserFrames
from realtime.sources.names import STREAMS, SourceName, parse_source
from realtime.sources.webcam_gaze.calibration_store import CalibrationStore
from realtime.sources.webcam_gaze.gaze_source import EyeGeometry, WebcamGaze

NO_CAMERA = "start the camera that films your eyes, on the page"


def open_webcam_gaze(
    name: SourceName, settings: WebcamSettings, models: Path | None, progress: ProgressReporter
) -> WebcamGaze:
    """Open it, after downloading the networks into `models` where they are missing.

    Raises `SourceError` or `EngineError`.
    """
    frames = open_frames(_name_camera(name)) if name.rest else BrowserFrames(NO_CAMERA)
    weights.pull_model(MODEL, root=models, report=progress.show_bytes)
    folder = settings.folder or weights.models_folder().parent / "webcam-gaze"
    return WebcamGaze(
        FaceLandmarker(models),
        frames,
        CalibrationStore(folder, settings.person),
        EyeGeometry(settings.fov_deg, settings.screen_width_mm),
        settings.max_rate_hz,
    )


def _name_camera(name: SourceName) -> str:
    """Return the name of the source of frames; raises `SourceError` for one that shows no live face."""
    if name.rest.partition("?")[0].isdecimal():
        return f"camera:{name.rest}"
    if parse_source(name.rest).kind not in ("camera", "file", *STREAMS):
        raise SourceError(
            f"{name.shown!r} is no webcam; expected webcam, webcam:0, on Linux webcam:/dev/video0, or webcam:SOURCE "
            "such as webcam:rtsp://HOST/PATH"
        )
    return name.rest
