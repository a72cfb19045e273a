"""Defines the settings of an engine, and the defaults that depend on the machine."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from engines.base import ModelError
from engines.letterbox import MODEL_SIDE

Backend = Literal["openvino", "onnxruntime", "torch", "tensorrt", "fake", "stock"]
Precision = Literal["auto", "f32", "bf16", "f16", "int8", "fp8"]
CLIP_MODELS = {"clip": "clip-b32", "clip-b16": "clip-b16"}
"""Recognizer -> its weights in the list of models."""
Report = Callable[[str], None]
"""Receives lines of progress."""


def default_threads() -> tuple[int, int]:
    """Return the (encoder, decoder) threads for this machine.

    The encoder and the tracker with the decoder run at once, so the cores are divided, not overcommitted: on two cores
    one each. The decoder's matrices are too narrow to gain from more than four.
    """
    cores = os.cpu_count() or 1
    decoder = 1 if cores <= 4 else 2 if cores <= 8 else 4
    return max(1, cores - decoder), decoder


def default_cache_dir() -> Path:
    """Return the folder of engines: in $GAZECAST_CACHE, else in the user's cache folder.

    Raises `ModelError` for a user who has neither.
    """
    if chosen := os.environ.get("GAZECAST_CACHE"):
        return Path(chosen) / "engines"
    try:
        if sys.platform == "win32":
            base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
        elif sys.platform == "darwin":
            base = Path.home() / "Library" / "Caches"
        else:
            base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    except RuntimeError:  # a user without an entry, as in many containers
        raise ModelError("this user has no home folder for engines; set GAZECAST_CACHE to a folder") from None
    return base / "gazecast" / "engines"


def default_picture_side(encoder_threads: int) -> int:
    """Return the longest side, in model pixels, that a CPU encodes within two to four frames.

    A mask propagated over eight frames has lost far more than one of a picture encoded at half the size. Work grows
    with the square of the side; from 672 on the sides are multiples of TinyViT's windows.
    """
    return 512 if encoder_threads <= 2 else 672 if encoder_threads <= 4 else 896 if encoder_threads <= 8 else MODEL_SIDE


PICTURE_SIDES = (256, 320, 384, 512, 672, 896, MODEL_SIDE)
"""Sides between which a run chooses by measured speed."""
MAX_NAMES = 1000
"""Of a recognizer; each takes about a tenth of a second to encode, once."""


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """Holds the settings of the engine and its share of the machine.

    backend: library that runs the model.
    model: name of the model, as `gazecast models` lists them.
    precision: "auto" is int8 where it was accepted and is faster here, else bf16 where the CPU has it, else f32;
        on a GPU f16. f16 and fp8 are for GPUs alone.
    encoder_threads: CPU threads of the encoder, at least 1; the default depends on the number of cores.
    decoder_threads: CPU threads of the decoder, at least 1; the default depends on the number of cores.
    picture_side: longest side of the frame for the encoder, 224 to 1024 px; less is coarser and faster. 0 is 1024
        on a GPU and for SAM's own ViTs; else a run chooses by measured speed, up to a side that suits the number of
        threads, which is what single pictures are encoded with.
    recognizer: what names objects in keyframes and finds words: "nanodet" for its 80 kinds, whose boxes are prompted
        beside the gaze, "auto" for that where its weights were fetched (gazecast models pull nanodet) and the machine
        is not too slow, "clip" or "clip-b16", which learned from finer patches, for any word, without boxes (gazecast
        models pull clip-b32, or clip-b16), "off" for nothing.
    recognizer_names: the names that "clip" may give objects, at most 1000; unset for COCO's 80.
    recognizer_share: share of the time of encoding that recognizing objects may add, 0 to 1; keyframes between are
        not searched, and objects are moved to them.
    word_share: the same while a word is searched for; with more, keyframes come later than words are worth.
    adapter: file of weights that `gazecast learn --part decoder` or `--part iou` learned, as --adapter sets it; unset
        for the model's own.
    cache_dir: folder of the graphs and their notes; unset for the user's cache.
    """

    backend: Backend = "openvino"
    model: str = "mobile_sam"
    precision: Precision = "auto"
    encoder_threads: int = field(default_factory=lambda: default_threads()[0])
    decoder_threads: int = field(default_factory=lambda: default_threads()[1])
    picture_side: int = 0
    recognizer: Literal["auto", "nanodet", "clip", "clip-b16", "off"] = "auto"
    recognizer_names: tuple[str, ...] = ()
    recognizer_share: float = 0.08
    word_share: float = 0.15
    adapter: Path | None = None
    cache_dir: Path | None = None

    def __post_init__(self) -> None:
        """Raise `ValueError` for fewer than one thread, or a picture side that no encoder takes."""
        for name in ("encoder_threads", "decoder_threads"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if len(self.recognizer_names) > MAX_NAMES or not all(name.strip() for name in self.recognizer_names):
            raise ValueError(f"recognizer_names must be at most {MAX_NAMES} names that are not empty")
        for name in ("recognizer_share", "word_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be 0 to 1, got {getattr(self, name)}")
        if self.picture_side and not 224 <= self.picture_side <= MODEL_SIDE:
            raise ValueError(f"picture_side must be 224 to {MODEL_SIDE}, or 0 for automatic, got {self.picture_side}")


def picture_side(settings: EngineSettings, on_gpu: bool = False) -> int:
    """Return the longest side at which pictures are encoded, see `EngineSettings.picture_side`."""
    if settings.picture_side:
        return settings.picture_side
    # SAM's ViTs attend to the whole square, so a smaller picture saves nothing; a GPU is fast enough.
    if on_gpu or settings.model != "mobile_sam":
        return MODEL_SIDE
    return default_picture_side(settings.encoder_threads)
