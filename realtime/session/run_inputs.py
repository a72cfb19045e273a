"""Opens the inputs of one run: frames, gaze, its calibration, the live page and the desktop window."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from realtime.config.schema import RunConfig
from realtime.errors import SettingsError
from realtime.session.inputs import open_frames, open_gaze
from realtime.session.view import RunView
from realtime.sources.browser import BrowserFrames, BrowserGaze
from realtime.sources.calibrated import CalibratedGaze, LoadedCalibration, load_gaze_calibration
from realtime.sources.headset_recordings.detection import has_recorded_gaze
from realtime.sources.names import parse_source, redact_source
from realtime.sources.video.video_file import PlayedFrames
from realtime.sources.webrtc.wearer_sources import WebRtcFrames, WebRtcGaze
from realtime.types import FrameSource, GazeSource
from realtime.viewer.desktop_window import DesktopWindow, MouseGaze
from realtime.viewer.page_secrets import read_fingerprint

if TYPE_CHECKING:
    from realtime.viewer.live_page import LivePage


@dataclass(frozen=True)
class RunInputs:
    """Holds the open inputs of a run.

    clip: the frames, where they are played from a file. calibration: already applied to `gaze`.
    """

    frames: FrameSource
    gaze: GazeSource
    clip: PlayedFrames | None
    calibration: LoadedCalibration | None
    page: LivePage | None
    window: DesktopWindow | None

    @property
    def is_faster_than_real_time(self) -> bool:
        """Whether every frame is processed on the clip's own time, as fast as possible."""
        return self.clip is not None and not self.clip.clock.real_time

    @property
    def is_mouse_gaze(self) -> bool:
        """Whether gaze is a mouse or finger."""
        return isinstance(self.gaze, MouseGaze | BrowserGaze)


GAZE_FLAGS = (
    "--gaze pupil://HOST:PORT, --gaze lsl: or --gaze trace:FILE.csv, or --view or --window to use the mouse, or "
    "--word to name the object"
)


def open_run_inputs(
    config: RunConfig, view: RunView, stack: ExitStack, *, window: bool, gaze_hint: str = GAZE_FLAGS
) -> RunInputs:
    """Open the inputs and have `stack` close them; no source is started.

    gaze_hint: what gives gaze to frames that have none of their own, for the error. Raises `SettingsError`,
    `SourceError`, `WindowError` or `CalibrationError`.
    """
    has_gaze = bool(config.gaze) or parse_source(config.source).has_own_gaze
    mouse = MouseGaze() if window and not has_gaze else None
    screen = DesktopWindow("gazecast", mouse) if window else None
    if screen is not None:
        stack.callback(screen.close)
    frames = open_frames(config.source)
    gaze: GazeSource = mouse or _open_gaze(config, view, frames, gaze_hint)
    page = _open_page(config, frames, gaze)
    if page is not None:
        stack.callback(page.close)
        view.on_page(page.address)
        if config.view.token_file is not None:
            view.progress.show_line(f"the page's token is in {config.view.token_file}")
        if config.view.tls_cert is not None and not config.view.loopback:
            view.progress.show_line(f"SHA-256 fingerprint of its certificate: {read_fingerprint(config.view.tls_cert)}")
        if page.whip is not None:
            view.progress.show_line(f"for wearers (WHIP): {page.address.partition('?')[0]}whip")
    clip = frames if isinstance(frames, PlayedFrames) else None
    calibration = load_gaze_calibration(config.calibration, config.source) if config.calibration else None
    if calibration is not None:
        gaze = _calibrate(gaze, calibration, config, clip)
    return RunInputs(frames, gaze, clip, calibration, page, screen)


def _open_gaze(config: RunConfig, view: RunView, frames: FrameSource, hint: str) -> GazeSource:
    spec = _choose_gaze(config, hint)
    if (name := parse_source(spec)).kind != "webcam":
        return open_gaze(spec, frames, min_confidence=config.tracker.gaze.min_confidence)
    if not config.view.enabled:
        raise SettingsError("gaze by webcam is where you look on the page; add --view to serve it")
    if config.calibration:
        raise SettingsError("gaze by webcam is calibrated on the page; leave out --calibration")
    from realtime.session.webcam_input import open_webcam_gaze

    return open_webcam_gaze(name, config.webcam, config.models, view.progress)


def _choose_gaze(config: RunConfig, hint: str) -> str:
    if config.gaze:
        return config.gaze
    name = parse_source(config.source)
    if name.has_own_gaze:
        return config.source
    if config.view.enabled:
        return "browser:"
    if config.word:
        return "none"
    if name.path is not None and name.path.is_file() and has_recorded_gaze(name.path.parent):
        raise SettingsError(
            f"{redact_source(config.source)} is the video of a headset's recording; --source "
            f"{redact_source(f'file:{name.path.parent}')} plays it with its gaze"
        )
    raise SettingsError(f"{redact_source(config.source)} has no gaze of its own; add {hint}")


def _open_page(config: RunConfig, frames: FrameSource, gaze: GazeSource) -> LivePage | None:
    """Open the live page where it is enabled; raises `SettingsError` where a source needs it and it is not."""
    browser_frames = frames if isinstance(frames, BrowserFrames) else None
    browser_gaze = gaze if isinstance(gaze, BrowserGaze) else None
    whip = next((source.receiver for source in (frames, gaze) if isinstance(source, WebRtcFrames | WebRtcGaze)), None)
    if not config.view.enabled:
        if browser_frames or browser_gaze:
            raise SettingsError("browser: is what the page sends; add --view to serve it")
        if whip is not None:
            raise SettingsError("whip: is what a wearer sends to the page's server; add --view to start it")
        return None
    from realtime.sources.webcam_gaze.gaze_source import WebcamGaze
    from realtime.viewer.live_page import LivePage

    page = LivePage(
        config.view,
        frames=browser_frames,
        gaze=browser_gaze,
        webcam=gaze if isinstance(gaze, WebcamGaze) else None,
        whip=whip,
        stream=config.publish.stream,
        source=redact_source(config.source),
        least_confidence=config.tracker.gaze.min_confidence,
    )
    if whip is not None:
        whip.ice_servers, whip.on_notice = config.whip.ice_servers, page.show_notice
    return page


def _calibrate(
    gaze: GazeSource, calibration: LoadedCalibration, config: RunConfig, clip: PlayedFrames | None
) -> GazeSource:
    """Apply a calibration to gaze; raises an error for a mouse and for frames of another size."""
    if isinstance(gaze, MouseGaze | BrowserGaze):
        raise SettingsError("a mouse needs no calibration; leave out --calibration, or add --gaze")
    calibration.check_frame_size(clip.size if clip is not None else None)
    age_s = calibration.age_s(datetime.now(UTC))
    return CalibratedGaze(gaze, calibration.calibration, learn=config.learn_drift, age_s=age_s)
