"""`gazecast run`: put sources, engine, pipeline, publisher and view together, and take them apart again."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from pathlib import Path

import cv2

from calibration import CalibrationError
from engines import Decoder, Encoder, EngineSettings, load, weights
from realtime.calibrated import CalibratedGaze, Loaded, load_gaze
from realtime.clock import now_ns
from realtime.config import Config
from realtime.drawing import draw
from realtime.latest import Latest
from realtime.pipeline import Pipeline, Shown
from realtime.progress import Progress, Report
from realtime.publishing import Broadcast
from realtime.settings import SettingsError
from realtime.signals import Interrupts, RunFailed
from realtime.sources import open_frames, open_gaze
from realtime.sources.base import GazeSource, SourceStatus
from realtime.sources.recording import ClipFrames
from realtime.tracker import Tracker
from realtime.transport import Publisher
from realtime.view import View
from realtime.window import MouseGaze, Window
from realtime.wire import HealthMessage

SETTLE_S = 0.3
"""After a file's last frame, the time that its mask gets to be published."""


def run(config: Config, view: View, *, window: bool = False, stop: threading.Event | None = None) -> None:
    """Run until interrupted, until `stop` is set, until the window is closed or until a file has ended.

    Raises `SettingsError`, `SourceError`, `TransportError`, `WindowError` or `EngineError` when it cannot start,
    KeyboardInterrupt when it is interrupted before it has, `RunFailed` when it ends otherwise than it was asked to.
    """
    cv2.setNumThreads(1)  # the tracker's share of the cores; the rest belongs to the engine
    stop = stop or threading.Event()
    with ExitStack() as stack:
        interrupts = stack.enter_context(Interrupts())
        mouse = MouseGaze() if window and not config.gaze and not config.source.startswith("pupil:") else None
        screen = Window("gazecast", mouse) if window else None
        if screen is not None:
            stack.callback(screen.close)
        frames = open_frames(config.source)
        gaze: GazeSource = mouse or open_gaze(_gaze_spec(config), frames)
        publisher = Publisher(config.publish.endpoint)
        stack.callback(publisher.close, 0.1)
        latest: Latest[Shown] = Latest()
        clip = frames if isinstance(frames, ClipFrames) else None
        calibration = load_gaze(config.calibration, config.source) if config.calibration else None
        if calibration is not None:
            gaze = _calibrated(gaze, calibration, config, clip)
        watch = _Watch(calibration, gaze, latest if screen else None)
        at_any_speed = clip is not None and not clip.clock.real_time
        pipeline = Pipeline(
            frames,
            gaze,
            lambda size: open_engine(
                config.engine, config.models, watch.checked(size), _Watched(view.progress, interrupts)
            ),
            lambda decoder: Tracker(decoder, now_ns, config.tracker, frame_time=at_any_speed),
            Broadcast(publisher, config.publish.stream, now_ns),
            frame_size=clip.size if clip is not None else None,
            every_frame=at_any_speed,
            cancelled=lambda: interrupts.asked,
            encoding=config.publish.encoding,
            overlay_wanted=lambda: config.publish.overlay and publisher.wanted("overlay"),
            jpeg_quality=config.publish.jpeg_quality,
            on_health=lambda health: _tell(view, health, stop),
            on_shown=watch,
        )
        stack.callback(pipeline.stop)
        pipeline.start()
        view.ready(config.source, publisher.endpoint)
        while not (stop.is_set() or interrupts.asked or pipeline.ended or watch.refused):
            if screen is None:
                stop.wait(0.1)
                continue
            if (shown := latest.take(0)) is not None:
                screen.show(draw(shown.frame.image, shown.message))
            if not screen.poll():
                stop.set()
        if watch.refused:
            raise RunFailed(watch.refused)
        if pipeline.ended:
            stop.wait(SETTLE_S)
            _explain(frames.status(), pipeline.masks)


class _Watched:
    """Progress that ends what it is told of when an interrupt was asked for: between two files, two graphs."""

    def __init__(self, inside: Progress, interrupts: Interrupts) -> None:
        self._inside, self._interrupts = inside, interrupts

    def line(self, text: str) -> None:
        """Pass it on."""
        self._interrupts.check()
        self._inside.line(text)

    def bar(self, done: int, total: int, text: str) -> None:
        """Pass it on."""
        self._interrupts.check()
        self._inside.bar(done, total, text)

    def steps(self, done: int, total: int, text: str) -> None:
        """Pass it on."""
        self._interrupts.check()
        self._inside.steps(done, total, text)


class _Watch:
    """Sees each frame with its mask: for the window, for what has slipped, and for frames of a wrong size."""

    def __init__(self, calibration: Loaded | None, gaze: GazeSource, screen: Latest[Shown] | None) -> None:
        self._calibration, self._screen = calibration, screen
        self._gaze = gaze if isinstance(gaze, CalibratedGaze) else None
        self.refused = ""

    def checked(self, size: tuple[int, int] | None) -> tuple[int, int] | None:
        """The size, if it is that of the calibration; raises `CalibrationError`."""
        if self._calibration is not None:
            self._calibration.check(size)
        return size

    def __call__(self, shown: Shown) -> None:
        """Take a frame; called by the pipeline."""
        try:
            self.checked(shown.frame.size)
        except CalibrationError as error:
            self.refused = str(error)
        if self._gaze is not None and shown.message is not None:
            self._gaze.chosen(shown.message, now_ns())
        if self._screen is not None:
            self._screen.put(shown)


def _calibrated(gaze: GazeSource, calibration: Loaded, config: Config, clip: ClipFrames | None) -> GazeSource:
    """The source as its calibration corrects it; refused for a mouse and for frames of another size."""
    if isinstance(gaze, MouseGaze):
        raise SettingsError("the mouse is where it is; leave out --calibration, or give --gaze")
    calibration.check(clip.size if clip is not None else None)
    return CalibratedGaze(gaze, calibration.calibration, learn=config.learn_drift)


def _tell(view: View, health: HealthMessage, stop: threading.Event) -> None:
    """Show the health; a reader that has gone ends the run, as it ends any program in a pipe."""
    try:
        view.health(health)
    except OSError:
        stop.set()


def _explain(frames: SourceStatus, masks: int) -> None:
    """Raise `RunFailed` if the frames did not end as those of a clip do, or nothing came of them."""
    if frames.state == "failed":
        raise RunFailed(f"the frames ended: {frames.reason}")
    if not masks:
        raise RunFailed("the clip ended before anything was looked at; is the trace on its clock, in its pixels?")


def open_engine(
    settings: EngineSettings, models: Path | None, size: tuple[int, int] | None, progress: Progress
) -> tuple[Encoder, Decoder]:
    """Open the chosen engine, fetching its weights first if they are not there."""
    if settings.backend == "fake":
        return load(settings, None, frame_size=size, report=progress.line)
    if weights.is_cached(settings.model, root=models):
        folder = weights.path(settings.model, root=models)
    else:
        folder = weights.pull(settings.model, root=models, report=progress.bar)
    return load(settings, folder, frame_size=size, report=Report(progress))


def _gaze_spec(config: Config) -> str:
    if config.gaze:
        return config.gaze
    if config.source.startswith("pupil:"):
        return config.source
    raise SettingsError(
        f"{config.source} has no gaze of its own; add --gaze pupil://HOST:PORT or --gaze trace:FILE.csv, "
        "or --window to use the mouse"
    )
