"""Runs the session of one wearer: it turns frames and gaze into masks, by an engine that is handed to it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol

from engines import Decoder, Encoder
from engines.recognition.base import ObjectRecognizer
from realtime.config.schema import RunConfig, select_recorded_settings, to_toml
from realtime.errors import RunFailed, SettingsError
from realtime.infra.clock import now_ns
from realtime.infra.progress import PreparationStep, ProgressReporter
from realtime.infra.work_slots import WorkSlots
from realtime.pipeline.context import PipelineOptions
from realtime.pipeline.engine_watch import FallbackEngine
from realtime.pipeline.pipeline import Pipeline
from realtime.pipeline.words import MAX_WORD_CHARS, WordRequest, describe_answer
from realtime.session.engine import apply_adapter, resolve_tracker_settings
from realtime.session.run_inputs import RunInputs
from realtime.session.session_outputs import SessionOutputs
from realtime.session.tracking_speed import record_tracking
from realtime.tracking.tracker import Tracker


class SessionEngine(Protocol):
    """A protocol that opens the engine of a session."""

    def open(self, size: tuple[int, int] | None) -> tuple[Encoder, Decoder]:
        """Open the engine for frames of (width, height), None if unknown; raises `EngineError`."""

    @property
    def fallbacks(self) -> Sequence[FallbackEngine]:
        """What may replace the engine while running; empty where its owner replaces it, or nothing does."""

    def open_recognizer(self, encoder: Encoder) -> ObjectRecognizer | None:
        """Open what recognizes objects, beside this encoder; None for none. Raises `EngineError`."""

    def open_word_recognizer(self) -> ObjectRecognizer:
        """Open what searches for words; raises `EngineError` where there is none."""

    @property
    def work_slots(self) -> WorkSlots:
        """Limits how many sessions of this engine track at a time."""

    @property
    def encode_nice(self) -> int:
        """Niceness of the session's thread that asks for keyframes."""

    @property
    def step(self) -> PreparationStep:
        """The present step of opening, for `health`."""

    @property
    def is_cancelled(self) -> bool:
        """Whether the start shall be given up."""


class WearerSession:
    """The session of one wearer, between `start` and `stop`, on threads of its own.

    Engine and outputs are handed to it, and may be shared with others: a session closes neither.
    """

    def __init__(
        self,
        config: RunConfig,
        inputs: RunInputs,
        outputs: SessionOutputs,
        engine: SessionEngine,
        progress: ProgressReporter,
        *,
        max_fps: float = 0.0,
    ) -> None:
        """progress: shows what the wearer's word and recording come to. max_fps: see `PipelineOptions`.

        Raises `LearningError` for a bad adapter, `SettingsError` for a word that is too long.
        """
        if len(config.word) > MAX_WORD_CHARS:
            raise SettingsError(
                f"word must be a text of at most {MAX_WORD_CHARS} characters, such as cup, got {config.word!r}"
            )
        config = apply_adapter(config)
        self._config, self._inputs, self._outputs = config, inputs, outputs
        self._engine, self._progress = engine, progress
        self._tracker_settings, self._max_fps = config.tracker, max_fps
        self._encoder: Encoder | None = None
        if config.word:
            outputs.words.put(
                WordRequest(config.word, reply=lambda answer: progress.show_line(describe_answer(answer)))
            )
        self._pipeline = Pipeline(
            inputs.frames, inputs.gaze, self._open_engine, self._make_tracker, outputs.publisher, self._make_options()
        )

    def start(self) -> None:
        """Start the recording where there is one, the sources, the engine and the threads.

        Raises the errors of recordings and engines, and KeyboardInterrupt when it is cancelled; call `stop` then.
        """
        if self._config.record.file is not None:
            self._progress.show_line(f"recording into {self._outputs.recording.start(self._config.record.file)}")
        self._pipeline.start()

    def stop(self) -> None:
        """Stop the sources and join the threads, within a second where no source hangs; idempotent."""
        if self._encoder is not None and not self._inputs.is_faster_than_real_time:
            measured = self._outputs.metrics.snapshot(now_ns())
            record_tracking(self._encoder, measured, self._tracker_settings.motion.side_px)
            self._encoder = None
        self._pipeline.stop()

    @property
    def rejection(self) -> str:
        """Why the session must end; empty if it need not."""
        return self._outputs.calibration_check.rejection

    @property
    def has_ended(self) -> bool:
        """Whether the frames have ended, as those of a file do, or have failed."""
        return self._pipeline.has_ended

    @property
    def end_reason(self) -> str:
        """Why the frames have ended, or failed."""
        return self._inputs.frames.status().reason

    def check_end(self) -> None:
        """Raise `RunFailed` if the frames failed, or the clip ended without a mask."""
        inputs = self._inputs
        status = inputs.frames.status()
        if status.state == "failed":
            raise RunFailed(f"the frames ended: {status.reason}")
        if status.received == 1:  # its only mask can be a guess
            raise RunFailed("the clip has one frame, and a fixation takes two; for a picture use: gazecast segment")
        if not self._pipeline.mask_count:
            gaze, word = inputs.gaze.status(), self._config.word
            if word and not gaze.received:
                raise RunFailed(f"the clip ended before {word!r} was found in it; is it in the picture, and known?")
            if not (gaze.received or inputs.is_mouse_gaze):
                raise RunFailed(f"the clip ended before any gaze came: {gaze.reason or gaze.state}")
            hint = (
                "move the mouse over its picture in time"
                if inputs.is_mouse_gaze
                else "is the trace on its clock, in its pixels?"
            )
            raise RunFailed(f"the clip ended before anything was looked at; {hint}")

    def _make_options(self) -> PipelineOptions:
        config, inputs, outputs, engine = self._config, self._inputs, self._outputs, self._engine
        return PipelineOptions(
            frame_size=inputs.clip.size if inputs.clip is not None else None,
            every_frame=inputs.is_faster_than_real_time,
            max_fps=self._max_fps,
            work_slots=engine.work_slots,
            encode_nice=engine.encode_nice,
            is_cancelled=lambda: engine.is_cancelled,
            preparation=lambda: engine.step,
            encoding=config.publish.encoding,
            wants_overlay=lambda: config.publish.overlay and outputs.sender.has_subscriber("overlay"),
            jpeg_quality=config.publish.jpeg_quality,
            access=outputs.access,
            metrics=outputs.metrics,
            commands=outputs.commands,
            observers=tuple(outputs.observers),
            open_recognizer=engine.open_recognizer,
            recognizer_share=config.engine.recognizer_share,
            word_share=config.engine.word_share,
            words=outputs.words,
            open_word_recognizer=engine.open_word_recognizer,
            fallback_engines=engine.fallbacks,
        )

    def _open_engine(self, size: tuple[int, int] | None) -> tuple[Encoder, Decoder]:
        config, outputs = self._config, self._outputs
        pair = self._engine.open(outputs.calibration_check.check_size(size))
        self._encoder = pair[0]
        self._tracker_settings = resolve_tracker_settings(config.tracker, pair[0])
        recorded = select_recorded_settings(replace(config, tracker=self._tracker_settings))
        outputs.recording.update_info(config=to_toml(recorded))
        return pair

    def _make_tracker(self, decoder: Decoder, clock_ns: Callable[[], int]) -> Tracker:
        is_fast = self._inputs.is_faster_than_real_time
        return Tracker(decoder, clock_ns, self._tracker_settings, frame_time=is_fast)
