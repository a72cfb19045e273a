"""Opens an engine, and recognizers, for the one session of a run."""

from __future__ import annotations

from collections.abc import Sequence

from engines import Decoder, Encoder
from engines.recognition.base import ObjectRecognizer
from realtime.config.schema import RunConfig
from realtime.infra.interrupts import InterruptHandler
from realtime.infra.progress import ObservedProgress, PreparationStep, ProgressReporter
from realtime.infra.work_slots import WorkSlots
from realtime.pipeline.context import ENCODER_NICE
from realtime.pipeline.engine_watch import FallbackEngine
from realtime.session.engine import (
    CancellableProgress,
    check_recognizer,
    check_word_recognizer,
    list_fallback_engines,
    open_engine,
    open_recognizer,
    open_word_recognizer,
    preload_engine,
)


class OwnEngine:
    """The `SessionEngine` of a run, which an interrupt cancels while it opens."""

    def __init__(
        self, config: RunConfig, progress: ProgressReporter, interrupts: InterruptHandler, *, is_live: bool
    ) -> None:
        """Begin to load the engine of a live run, while its first frame is awaited.

        Raises `EngineError` where a recognizer that the configuration names lacks its weights.
        """
        self._config, self._interrupts, self._is_live = config, interrupts, is_live
        self.work_slots, self.encode_nice = WorkSlots(1), ENCODER_NICE
        self._observed = ObservedProgress(progress)
        self._progress = CancellableProgress(self._observed, interrupts)
        if config.word:
            check_word_recognizer(config.engine, config.models)
        check_recognizer(config.engine, config.models)
        self._preloaded = preload_engine(config.engine, config.models, self._progress) if is_live else None

    def open(self, size: tuple[int, int] | None) -> tuple[Encoder, Decoder]:
        """See `SessionEngine.open`."""
        config = self._config
        return open_engine(
            config.engine, config.models, size, self._progress, live=self._is_live, preloaded=self._preloaded
        )

    @property
    def fallbacks(self) -> Sequence[FallbackEngine]:
        """See `SessionEngine.fallbacks`."""
        config = self._config
        return list_fallback_engines(config.engine, config.models, self._progress) if self._is_live else ()

    def open_recognizer(self, encoder: Encoder) -> ObjectRecognizer | None:
        """See `SessionEngine.open_recognizer`."""
        return open_recognizer(self._config.engine, self._config.models, self._progress, encoder)

    def open_word_recognizer(self) -> ObjectRecognizer:
        """See `SessionEngine.open_word_recognizer`."""
        return open_word_recognizer(self._config.engine, self._config.models, self._progress)

    @property
    def step(self) -> PreparationStep:
        """The present step of opening."""
        return self._observed.step

    @property
    def is_cancelled(self) -> bool:
        """Whether an interrupt was requested."""
        return self._interrupts.is_requested
