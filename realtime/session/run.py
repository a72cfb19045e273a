"""Runs `gazecast run`: assembles inputs, engine, pipeline and outputs, and closes them again."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from dataclasses import replace

import cv2

from engines import Decoder, Encoder
from realtime.config.schema import RunConfig, select_recorded_settings, to_toml
from realtime.errors import RunFailed
from realtime.infra.interrupts import InterruptHandler
from realtime.infra.progress import ObservedProgress
from realtime.media.overlay import draw_overlay
from realtime.pipeline.context import PipelineOptions
from realtime.pipeline.control import USER_VERBS
from realtime.pipeline.pipeline import Pipeline
from realtime.pipeline.words import WordRequest, describe_answer
from realtime.session.engine import (
    CancellableProgress,
    check_recognizer,
    check_word_recognizer,
    open_engine,
    open_recognizer,
    open_word_recognizer,
    preload_engine,
    resolve_tracker_settings,
)
from realtime.session.run_inputs import RunInputs, open_run_inputs
from realtime.session.run_outputs import RunOutputs, open_run_outputs
from realtime.session.view import RunView
from realtime.sources.names import redact_source
from realtime.tracking.tracker import Tracker

SETTLE_S = 0.3
"""The time after a file's last frame in which its mask is published."""
POLL_S = 0.1


def run(config: RunConfig, view: RunView, *, window: bool = False, stop: threading.Event | None = None) -> None:
    """Run until an interrupt, until `stop` is set, the window is closed or a file has ended.

    Raises `SettingsError`, `SourceError`, `TransportError`, `WindowError`, `CalibrationError` or `EngineError` when it
    cannot start, KeyboardInterrupt when it is interrupted before that, `RunFailed` when it ends by an error.
    """
    cv2.setNumThreads(1)  # the tracker's share of the cores; the rest belongs to the engine
    stop = stop or threading.Event()
    with ExitStack() as stack:
        interrupts = stack.enter_context(InterruptHandler())
        inputs = open_run_inputs(config, view, stack, window=window)
        outputs = open_run_outputs(config, view, stack, inputs, stop)
        if config.word:
            check_word_recognizer(config.engine, config.models)
            outputs.words.put(
                WordRequest(config.word, reply=lambda answer: view.progress.show_line(describe_answer(answer)))
            )
        pipeline = _build_pipeline(config, view, inputs, outputs, interrupts)
        stack.callback(pipeline.stop)
        if config.record.file is not None:
            view.progress.show_line(f"recording into {outputs.recording.start(config.record.file)}")
        pipeline.start()
        if inputs.page is not None:
            inputs.page.enable_verbs(USER_VERBS)
        view.on_ready(redact_source(config.source), outputs.socket.endpoint)
        _wait_for_end(pipeline, inputs, outputs, interrupts, stop)
        if outputs.calibration_check.rejection:
            raise RunFailed(outputs.calibration_check.rejection)
        if pipeline.has_ended:
            stop.wait(SETTLE_S)
            _check_end(inputs, pipeline.mask_count)


def _build_pipeline(
    config: RunConfig, view: RunView, inputs: RunInputs, outputs: RunOutputs, interrupts: InterruptHandler
) -> Pipeline:
    check_recognizer(config.engine, config.models)
    is_fast = inputs.is_faster_than_real_time
    observed = ObservedProgress(view.progress)
    progress, check = CancellableProgress(observed, interrupts), outputs.calibration_check
    options = PipelineOptions(
        frame_size=inputs.clip.size if inputs.clip is not None else None,
        every_frame=is_fast,
        is_cancelled=lambda: interrupts.is_requested,
        preparation=lambda: observed.step,
        encoding=config.publish.encoding,
        wants_overlay=lambda: config.publish.overlay and outputs.socket.has_subscriber("overlay"),
        jpeg_quality=config.publish.jpeg_quality,
        access=outputs.access,
        metrics=outputs.metrics,
        commands=outputs.commands,
        observers=tuple(outputs.observers),
        open_recognizer=lambda encoder: open_recognizer(config.engine, config.models, progress, encoder),
        recognizer_share=config.engine.recognizer_share,
        word_share=config.engine.word_share,
        words=outputs.words,
        open_word_recognizer=lambda: open_word_recognizer(config.engine, config.models, progress),
    )
    tracker = config.tracker
    preloaded = None if is_fast else preload_engine(config.engine, config.models, progress)

    def open_pair(size: tuple[int, int] | None) -> tuple[Encoder, Decoder]:
        nonlocal tracker
        pair = open_engine(
            config.engine, config.models, check.check_size(size), progress, live=not is_fast, preloaded=preloaded
        )
        tracker = resolve_tracker_settings(config.tracker, pair[0])
        recorded = select_recorded_settings(replace(config, tracker=tracker))
        outputs.recording.update_info(config=to_toml(recorded))
        return pair

    return Pipeline(
        inputs.frames,
        inputs.gaze,
        open_pair,
        lambda decoder, clock_ns: Tracker(decoder, clock_ns, tracker, frame_time=is_fast),
        outputs.publisher,
        options,
    )


def _wait_for_end(
    pipeline: Pipeline, inputs: RunInputs, outputs: RunOutputs, interrupts: InterruptHandler, stop: threading.Event
) -> None:
    """Block until the run must end; meanwhile draw into the window, which belongs to this thread."""
    window, check = inputs.window, outputs.calibration_check
    while not (stop.is_set() or interrupts.is_requested or pipeline.has_ended or check.rejection):
        if window is None:
            stop.wait(POLL_S)
            continue
        if (newest := outputs.newest.slot.get(0)) is not None:
            window.show(draw_overlay(newest.frame.image, newest.result))
        if not window.poll():
            stop.set()


def _check_end(inputs: RunInputs, mask_count: int) -> None:
    """Raise `RunFailed` if the frames failed, or the clip ended without a mask."""
    status = inputs.frames.status()
    if status.state == "failed":
        raise RunFailed(f"the frames ended: {status.reason}")
    if not mask_count:
        if status.received == 1:
            raise RunFailed("the clip has one frame, and a fixation takes two; for a picture use: gazecast segment")
        gaze = inputs.gaze.status()
        if not (gaze.received or inputs.is_mouse_gaze):
            raise RunFailed(f"the clip ended before any gaze came: {gaze.reason or gaze.state}")
        hint = (
            "move the mouse over its picture in time"
            if inputs.is_mouse_gaze
            else "is the trace on its clock, in its pixels?"
        )
        raise RunFailed(f"the clip ended before anything was looked at; {hint}")
