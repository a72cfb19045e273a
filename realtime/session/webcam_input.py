"""Opens gaze by webcam: `webcam`, whose camera is the page's, or `webcam:N`, a camera of this machine."""

from __future__ import annotations

from pathlib import Path

from engines import weights
from engines.landmarks.face_landmarker import MODEL, FaceLandmarker
from realtime.config.webcam import WebcamSettings
from realtime.errors import SourceError
from realtime.infra.progress import ProgressReporter
from realtime.session.inputs import open_frames
from realtime.sources.browser import BrowserFrames
from realtime.sources.names import SourceName
from realtime.sources.webcam_gaze.calibration_store import CalibrationStore
from realtime.sources.webcam_gaze.gaze_source import EyeGeometry, WebcamGaze

NO_CAMERA = "start the camera that films your eyes, on the page"


def open_webcam_gaze(
    name: SourceName, settings: WebcamSettings, models: Path | None, progress: ProgressReporter
) -> WebcamGaze:
    """Open it, after downloading the networks into `models` where they are missing.

    Raises `SourceError` or `EngineError`.
    """
    camera = name.rest.partition("?")[0]
    if camera and not (camera.isdecimal() or camera.startswith("/dev/")):
        raise SourceError(f"{name.shown!r} is no webcam; expected webcam, webcam:0, or on Linux webcam:/dev/video0")
    frames = open_frames(f"camera:{name.rest}") if camera else BrowserFrames(NO_CAMERA)
    weights.pull_model(MODEL, root=models, report=progress.show_bytes)
    folder = settings.folder or weights.models_folder().parent / "webcam-gaze"
    return WebcamGaze(
        FaceLandmarker(models),
        frames,
        CalibrationStore(folder, settings.person),
        EyeGeometry(settings.fov_deg, settings.screen_width_mm),
    )
