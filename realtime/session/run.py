"""`gazecast run`: put sources, engine, pipeline, publisher and view together, and take them apart again."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import cv2

from calibration import CalibrationError
from engines import Decoder, Encoder, EngineSettings, load, weights
from realtime.comms import HealthMessage
from realtime.comms.sockets import PublisherSocket
from realtime.config.schema import RunConfig, select_recorded_settings, to_toml
from realtime.errors import RunFailed, SettingsError
from realtime.infra.channels import Latest
from realtime.infra.clock import now_ns
from realtime.infra.interrupts import InterruptHandler
from realtime.infra.progress import EngineProgress, ProgressReporter
from realtime.media.overlay import draw
from realtime.pipeline.control import CommandQueue
from realtime.pipeline.observers import FrameResult, ObservedSender, PipelineObserver
from realtime.pipeline.pipeline import Pipeline
from realtime.pipeline.publisher import MessagePublisher
from realtime.pipeline.request_server import RequestServer
from realtime.recording.controller import RecordingController
from realtime.recording.format import RecordingInfo
from realtime.robotics.object3d_observer import open_space
from realtime.robotics.outputs import open_formats
from realtime.session.inputs import open_depth, open_frames, open_gaze, redact_password
from realtime.session.view import RunView
from realtime.sources.browser import BrowserFrames, BrowserGaze
from realtime.sources.calibrated import CalibratedGaze, LoadedCalibration, load_gaze_calibration
from realtime.sources.video_file import PlayedFrames
from realtime.tracking.tracker import Tracker
from realtime.types import FrameSource, GazeSource, SourceStatus
from realtime.viewer.desktop_window import DesktopWindow, MouseGaze

if TYPE_CHECKING:
    from realtime.viewer.live_page import LivePage

SETTLE_S = 0.3
"""After a file's last frame, the time that its mask gets to be published."""


def run(config: RunConfig, view: RunView, *, window: bool = False, stop: threading.Event | None = None) -> None:
    """Run until interrupted, until `stop` is set, until the window is closed or until a file has ended.

    Raises `SettingsError`, `SourceError`, `TransportError`, `WindowError` or `EngineError` when it cannot start,
    KeyboardInterrupt when it is interrupted before it has, `RunFailed` when it ends otherwise than it was asked to.
    """
    cv2.setNumThreads(1)  # the tracker's share of the cores; the rest belongs to the engine
    stop = stop or threading.Event()
    with ExitStack() as stack:
        interrupts = stack.enter_context(InterruptHandler())
        own_gaze = config.source.startswith(("pupil:", "recording:"))
        mouse = MouseGaze() if window and not config.gaze and not own_gaze else None
        screen = DesktopWindow("gazecast", mouse) if window else None
        if screen is not None:
            stack.callback(screen.close)
        frames = open_frames(config.source)
        gaze: GazeSource = mouse or open_gaze(_gaze_spec(config), frames)
        clip = frames if isinstance(frames, PlayedFrames) else None
        page = _page(config, frames, gaze)
        if page is not None:
            stack.callback(page.close)
            view.on_page(page.address)
        publisher = PublisherSocket(config.publish.endpoint)
        stack.callback(publisher.close, 0.1)
        calibration = load_gaze_calibration(config.calibration, config.source) if config.calibration else None
        if calibration is not None:
            gaze = _calibrated(gaze, calibration, config, clip)
        at_any_speed = clip is not None and not clip.clock.real_time
        deck = _deck(config, view, page, at_any_speed)
        stack.callback(deck.close)
        watch, latest = _CalibrationCheck(calibration, gaze), _NewestResult()
        observers: list[PipelineObserver] = [deck, watch, _ViewObserver(view, stop)]
        observers += [latest] if screen is not None else []
        observers += [page] if page is not None else []
        broadcast = MessagePublisher(ObservedSender(publisher, observers), config.publish.stream, now_ns)
        wants_depth = config.depth.source and config.objects.camera is not None
        space = open_space(
            open_depth(config.depth.source, frames, config.source) if wants_depth else None,
            config.depth, config.objects, broadcast,
            every_frame=at_any_speed, refuse=watch.refuse,
        )  # fmt: skip
        if space is not None:
            stack.callback(space.stop)
            space.start()
            observers.append(space)
        observers += open_formats(config, space, stack, view.progress.show_line)
        commands = page.commands if page is not None else CommandQueue()
        if config.requests:
            requests = RequestServer(config.requests, config.publish.stream, commands, now_ns)
            stack.callback(requests.close)
            view.progress.show_line(f"answering requests at {requests.endpoint}")
            observers.append(requests)
        pipeline = Pipeline(
            frames,
            gaze,
            lambda size: open_engine(
                config.engine, config.models, watch.checked(size), CancellableProgress(view.progress, interrupts)
            ),
            lambda decoder, clock_ns: Tracker(decoder, clock_ns, config.tracker, frame_time=at_any_speed),
            broadcast,
            frame_size=clip.size if clip is not None else None,
            every_frame=at_any_speed,
            cancelled=lambda: interrupts.is_requested,
            encoding=config.publish.encoding,
            overlay_wanted=lambda: config.publish.overlay and publisher.has_subscriber("overlay"),
            jpeg_quality=config.publish.jpeg_quality,
            commands=commands,
            observers=observers,
        )
        stack.callback(pipeline.stop)
        if config.record.file is not None:
            view.progress.show_line(f"recording into {deck.start(config.record.file)}")
        pipeline.start()
        if page is not None:
            page.enable_verbs(pipeline.supported_verbs)
        view.on_ready(config.source, publisher.endpoint)
        while not (stop.is_set() or interrupts.is_requested or pipeline.has_ended or watch.refused):
            if screen is None:
                stop.wait(0.1)
                continue
            if (shown := latest.slot.get(0)) is not None:
                screen.show(draw(shown.frame.image, shown.result))
            if not screen.poll():
                stop.set()
        if watch.refused:
            raise RunFailed(watch.refused)
        if pipeline.has_ended:
            stop.wait(SETTLE_S)
            _explain(frames.status(), pipeline.mask_count, isinstance(gaze, MouseGaze | BrowserGaze))


class CancellableProgress:
    """Progress that ends what it is told of when an interrupt was asked for: between two files, two graphs."""

    def __init__(self, inside: ProgressReporter, interrupts: InterruptHandler) -> None:
        self._inside, self._interrupts = inside, interrupts

    def show_line(self, text: str) -> None:
        """Pass it on."""
        self._interrupts.raise_if_requested()
        self._inside.show_line(text)

    def show_bytes(self, done: int, total: int, text: str) -> None:
        """Pass it on."""
        self._interrupts.raise_if_requested()
        self._inside.show_bytes(done, total, text)

    def show_steps(self, done: int, total: int, text: str) -> None:
        """Pass it on."""
        self._interrupts.raise_if_requested()
        self._inside.show_steps(done, total, text)


class _CalibrationCheck(PipelineObserver):
    """Sees each frame with its mask, for what has slipped and for frames of a wrong size."""

    name = "calibration"

    def __init__(self, calibration: LoadedCalibration | None, gaze: GazeSource) -> None:
        self._calibration = calibration
        self._gaze = gaze if isinstance(gaze, CalibratedGaze) else None
        self.refused = ""

    def checked(self, size: tuple[int, int] | None) -> tuple[int, int] | None:
        """The size, if it is that of the calibration; raises `CalibrationError`."""
        if self._calibration is not None:
            self._calibration.check_frame_size(size)
        return size

    def refuse(self, why: str) -> None:
        """End the run for this reason."""
        self.refused = why

    def on_mask(self, shown: FrameResult) -> None:
        """Look at a frame and its mask."""
        try:
            self.checked(shown.frame.size)
        except CalibrationError as error:
            self.refused = str(error)
        if self._gaze is not None and shown.result is not None:
            self._gaze.learn_from_mask(shown.result, now_ns())


class _NewestResult(PipelineObserver):
    """Keeps the newest frame for the window, which belongs to the main thread."""

    name = "window"

    def __init__(self) -> None:
        self.slot: Latest[FrameResult] = Latest()

    def on_mask(self, shown: FrameResult) -> None:
        """Keep it."""
        self.slot.put(shown)


class _ViewObserver(PipelineObserver):
    """Tells the view; a reader of it that has gone ends the run, as it ends any program in a pipe."""

    name = "terminal"

    def __init__(self, view: RunView, stop: threading.Event) -> None:
        self._view, self._stop = view, stop

    def on_health(self, health: HealthMessage) -> None:
        """Show it."""
        try:
            self._view.on_health(health)
        except OSError:
            self._stop.set()


def _calibrated(
    gaze: GazeSource, calibration: LoadedCalibration, config: RunConfig, clip: PlayedFrames | None
) -> GazeSource:
    """The source as its calibration corrects it; refused for a mouse and for frames of another size."""
    if isinstance(gaze, MouseGaze | BrowserGaze):
        raise SettingsError("the mouse is where it is; leave out --calibration, or give --gaze")
    calibration.check_frame_size(clip.size if clip is not None else None)
    age_s = calibration.age_s(datetime.now(UTC))
    return CalibratedGaze(gaze, calibration.calibration, learn=config.learn_drift, age_s=age_s)


def _page(config: RunConfig, frames: FrameSource, gaze: GazeSource) -> LivePage | None:
    """The live page, where one is wanted; raises `SettingsError` where one is needed and is not."""
    frames_there = frames if isinstance(frames, BrowserFrames) else None
    gaze_there = gaze if isinstance(gaze, BrowserGaze) else None
    if not config.view.enabled:
        if frames_there or gaze_there:
            raise SettingsError("browser: is what the page sends; add --view to serve it")
        return None
    from realtime.viewer.live_page import LivePage

    return LivePage(
        config.view,
        frames=frames_there,
        gaze=gaze_there,
        stream=config.publish.stream,
        source=config.source,
        least_confidence=config.tracker.gaze.min_confidence,
    )


def _deck(config: RunConfig, view: RunView, page: LivePage | None, at_any_speed: bool) -> RecordingController:
    """What records, and tells the user and the page of it."""
    about = RecordingInfo(
        config=to_toml(select_recorded_settings(config)), source=redact_password(config.source),
        frame_time=at_any_speed, encoding=config.publish.encoding, stream=config.publish.stream,
        program=version("gazecast"),
    )  # fmt: skip
    if page is None:
        return RecordingController(config.record, about, now_ns, view.progress.show_line)
    there = page

    def notice(text: str) -> None:
        there.show_notice(text)
        view.progress.show_line(text)

    deck = RecordingController(config.record, about, now_ns, notice, lambda on: there.set_recording(deck.path))
    return deck


def _explain(frames: SourceStatus, masks: int, by_hand: bool) -> None:
    """Raise `RunFailed` if the frames did not end as those of a clip do, or nothing came of them.

    by_hand: whether the gaze was a mouse or finger.
    """
    if frames.state == "failed":
        raise RunFailed(f"the frames ended: {frames.reason}")
    if not masks:
        hint = "move the mouse over its picture in time" if by_hand else "is the trace on its clock, in its pixels?"
        raise RunFailed(f"the clip ended before anything was looked at; {hint}")


def open_engine(
    settings: EngineSettings, models: Path | None, size: tuple[int, int] | None, progress: ProgressReporter
) -> tuple[Encoder, Decoder]:
    """Open the chosen engine, fetching its weights first if they are not there."""
    if settings.backend == "fake":
        return load(settings, None, frame_size=size, report=progress.show_line)
    if weights.is_cached(settings.model, root=models):
        folder = weights.path(settings.model, root=models)
    else:
        folder = weights.pull(settings.model, root=models, report=progress.show_bytes)
    return load(settings, folder, frame_size=size, report=EngineProgress(progress))


def _gaze_spec(config: RunConfig) -> str:
    if config.gaze:
        return config.gaze
    if config.source.startswith(("pupil:", "recording:")):
        return config.source
    if config.view.enabled:
        return "browser:"
    raise SettingsError(
        f"{config.source} has no gaze of its own; add --gaze pupil://HOST:PORT or --gaze trace:FILE.csv, "
        "or --view or --window to use the mouse"
    )
