"""Opens the engine of a run, and downloads its weights first where they are missing."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import cast

from engines import Decoder, Encoder, EngineSettings, EngineUnavailable, ModelError, load, weights
from engines.recognition.base import ObjectRecognizer
from engines.settings import CLIP_MODELS, Backend
from realtime.config.schema import RunConfig
from realtime.infra.interrupts import InterruptHandler
from realtime.infra.progress import EngineProgress, ProgressReporter
from realtime.learning.adapter import check_model, load_adapter
from realtime.pipeline.adaptive_encoder import AdaptiveEncoder, PreparedDecoder, SidedEncoder
from realtime.pipeline.engine_watch import FallbackEngine
from realtime.session.tracking_speed import choose_working_side
from realtime.tracking.settings import TrackerSettings


class CancellableProgress(ProgressReporter):
    """A progress reporter that raises KeyboardInterrupt after an interrupt: between two files or two graphs."""

    def __init__(self, progress: ProgressReporter, interrupts: InterruptHandler) -> None:
        self._progress, self._interrupts = progress, interrupts

    def show_line(self, text: str) -> None:
        """Show one line of text."""
        self._interrupts.raise_if_requested()
        self._progress.show_line(text)

    def show_bytes(self, done: int, total: int, text: str) -> None:
        """Show how many of `total` bytes have arrived."""
        self._interrupts.raise_if_requested()
        self._progress.show_bytes(done, total, text)

    def show_steps(self, done: int, total: int, text: str) -> None:
        """Show how many of `total` steps are complete."""
        self._interrupts.raise_if_requested()
        self._progress.show_steps(done, total, text)


def preload_engine(
    settings: EngineSettings, models: Path | None, progress: ProgressReporter
) -> Future[tuple[Encoder, Decoder]] | None:
    """Begin to load a live run's engine while its first frame is awaited; None for one that needs a frame size."""
    if not _is_adaptive(settings):
        return None
    pool = ThreadPoolExecutor(1, "gazecast-preload")
    loading = pool.submit(_load, settings, models, None, progress)
    pool.shutdown(wait=False)
    return loading


def open_engine(
    settings: EngineSettings,
    models: Path | None,
    size: tuple[int, int] | None,
    progress: ProgressReporter,
    *,
    live: bool = False,
    preloaded: Future[tuple[Encoder, Decoder]] | None = None,
) -> tuple[Encoder, Decoder]:
    """Open the chosen engine, after downloading its weights into `models` where they are missing.

    size: (width, height) of the frames, None if unknown. live: where the engine leaves the choice, let the picture's
    side follow the machine's speed, so that a mask comes soon. preloaded: from `preload_engine`. Raises `EngineError`.
    """
    is_open = live and _is_adaptive(settings)
    pair = preloaded.result() if preloaded else _load(settings, models, None if is_open else size, progress)
    return adapt_engine(pair, size, progress) if is_open else pair


def adapt_engine(
    pair: tuple[Encoder, Decoder], size: tuple[int, int] | None, progress: ProgressReporter
) -> tuple[Encoder, Decoder]:
    """Let a live run's picture side follow the speed where the engine, or a client of a shared one, has a choice.

    size: (width, height) of the frames, whose graphs are compiled; None if unknown.
    """
    encoder, decoder = pair
    if not (isinstance(encoder, SidedEncoder) and isinstance(decoder, PreparedDecoder)):
        return pair
    if len(encoder.sides) > 1:
        return AdaptiveEncoder(encoder, decoder, size, progress.show_line), decoder
    if size is not None:
        encoder.prepare(size)
        decoder.prepare(size)
    return pair


REOPENED = 2
"""Times that the same engine is opened anew before another one replaces it."""
FALLBACK_BACKENDS = {"openvino": "openvino", "onnxruntime": "onnxruntime", "torch": "torch"}
"""Backends that may replace another one, fastest first, and the module that each needs."""


def list_fallback_engines(
    settings: EngineSettings, models: Path | None, progress: ProgressReporter, *, is_live: bool = True
) -> tuple[FallbackEngine, ...]:
    """List what may replace an engine: itself, then itself in float32, then the other installed backends.

    is_live: see `open_engine`; false for an engine that is shared, whose graphs its clients choose.
    """
    chosen = [settings] * REOPENED
    if settings.backend != "fake":
        if settings.precision != "f32":
            chosen.append(replace(settings, precision="f32"))
        others = [name for name in FALLBACK_BACKENDS if name != settings.backend]
        installed = [name for name in others if find_spec(FALLBACK_BACKENDS[name]) is not None]
        chosen += [replace(settings, backend=cast(Backend, name), precision="f32") for name in installed]

    def open_chosen(use: EngineSettings, size: tuple[int, int] | None) -> tuple[Encoder, Decoder]:
        return open_engine(use, models, size if is_live else None, progress, live=is_live)

    return tuple(FallbackEngine(f"{use.backend} {use.precision}", partial(open_chosen, use)) for use in chosen)


def _is_adaptive(settings: EngineSettings) -> bool:
    return settings.picture_side == 0 and settings.backend not in ("fake", "tensorrt")


def _load(
    settings: EngineSettings, models: Path | None, size: tuple[int, int] | None, progress: ProgressReporter
) -> tuple[Encoder, Decoder]:
    if settings.backend == "fake":
        return load(settings, None, frame_size=size, report=progress.show_line)
    folder = weights.pull_model(settings.model, root=models, report=progress.show_bytes)
    return load(settings, folder, frame_size=size, report=EngineProgress(progress))


def check_recognizer(settings: EngineSettings, models: Path | None) -> None:
    """Raise `ModelError` where a recognizer's weights are missing that are too large to fetch unasked."""
    if settings.recognizer in CLIP_MODELS:
        weights.model_folder(CLIP_MODELS[settings.recognizer], root=models)


def open_recognizer(
    settings: EngineSettings, models: Path | None, progress: ProgressReporter, encoder: Encoder | None = None
) -> ObjectRecognizer | None:
    """Open what recognizes objects; None where the settings turn it off, or leave it to a machine that lacks the means.

    encoder: of a live run, whose measured speed decides. Raises `EngineError`.
    """
    threads = settings.encoder_threads
    if settings.recognizer in CLIP_MODELS:
        from engines.recognition.clip import LONG_SIDE, SMALL_LONG_SIDE, ClipRecognizer

        name = CLIP_MODELS[settings.recognizer]
        return ClipRecognizer(
            weights.model_folder(name, root=models), name, names=settings.recognizer_names, threads=threads,
            long_side=LONG_SIDE if threads > 1 else SMALL_LONG_SIDE, cache_dir=settings.cache_dir,
        )  # fmt: skip
    is_wanted = settings.recognizer == "nanodet"
    if settings.recognizer == "off" or (settings.backend == "fake" and not is_wanted):
        return None
    is_slow = isinstance(encoder, AdaptiveEncoder) and encoder.is_slow
    if not is_wanted and (is_slow or not weights.is_cached("nanodet", root=models)):
        return None
    folder = weights.pull_model("nanodet", root=models, report=progress.show_bytes)
    from engines.recognition.detector import SMALL_SIDE, TRAINED_SIDE, ObjectDetector

    return ObjectDetector(folder, threads=threads, side=TRAINED_SIDE if threads > 1 else SMALL_SIDE)


def open_word_recognizer(settings: EngineSettings, models: Path | None, progress: ProgressReporter) -> ObjectRecognizer:
    """Open what searches for words, however slow the machine; raises `EngineError` where there is none."""
    check_word_recognizer(settings, models)
    chosen = replace(settings, recognizer="nanodet") if settings.recognizer == "auto" else settings
    recognizer = open_recognizer(chosen, models, progress)
    assert recognizer is not None
    return recognizer


def check_word_recognizer(settings: EngineSettings, models: Path | None) -> None:
    """Raise `EngineError` where no recognizer can search for words."""
    if settings.recognizer == "off":
        raise EngineUnavailable('a word needs a recognizer, and engine.recognizer is "off"; leave it at "auto"')
    if settings.recognizer == "auto" and not weights.is_cached("nanodet", root=models):
        raise ModelError("a word needs a recognizer, whose weights were not fetched: gazecast models pull nanodet")


def apply_adapter(config: RunConfig) -> RunConfig:
    """Put what an adapter learned into the settings.

    A recording then repeats a ranker without the file; learned weights of the decoder it names by their hash.
    Raises `LearningError` for an adapter that cannot be read, or was learned with another model.
    """
    if config.adapter is None:
        return config
    adapter = load_adapter(config.adapter)
    check_model(adapter, config.adapter, config.engine.model)
    if adapter.weights is not None:
        config = replace(config, engine=replace(config.engine, adapter=config.adapter))
    if adapter.ranker is not None:
        choice = replace(config.tracker.choice, ranker=adapter.ranker.ranker)
        config = replace(config, tracker=replace(config.tracker, choice=choice))
    return config


def resolve_tracker_settings(settings: TrackerSettings, encoder: Encoder) -> TrackerSettings:
    """Replace automatic settings by those that suit the measured speed, which a recording then repeats."""
    if settings.motion.side_px:
        return settings
    return replace(settings, motion=replace(settings.motion, side_px=choose_working_side(encoder)))
