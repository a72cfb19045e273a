"""Opens an engine by its settings. Backends are imported when they are chosen, never before."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import cast

from engines.base import Decoder, Encoder, EngineUnavailable
from engines.settings import EngineSettings, Report

Opener = Callable[[EngineSettings, Path | None, tuple[int, int] | None, Report], tuple[Encoder, Decoder]]

BACKENDS = {
    "openvino": "engines.backends.openvino",
    "onnxruntime": "engines.backends.onnxruntime",
    "torch": "engines.backends.torch",
    "tensorrt": "engines.backends.tensorrt",
    "stock": "engines.backends.stock",
    "fake": "engines.fake",
}
"""The module of each backend, whose `open_engine` is an `Opener`."""


def load(
    settings: EngineSettings,
    weights: Path | None,
    *,
    frame_size: tuple[int, int] | None = None,
    report: Report | None = None,
) -> tuple[Encoder, Decoder]:
    """Open an encoder and its decoder.

    weights: the folder with the model's weight files; `fake` needs none.
    frame_size: (width, height) of the expected frames, whose graph is then ready before the first one. The graph of
    another shape is built at its first frame.
    report: called with lines of progress. If it has a method `steps(done, total, text)`, that is called with the
    progress of long builds, and may raise to stop them.

    Raises `EngineUnavailable` where the backend cannot run here, `ModelError` for weights or cached engines that are
    missing or invalid.
    """
    if (module := BACKENDS.get(settings.backend)) is None:
        raise EngineUnavailable(f"no backend {settings.backend!r}; choose one of {', '.join(BACKENDS)}")
    if settings.adapter is not None and settings.backend in ("stock", "fake"):
        raise EngineUnavailable(f"the {settings.backend} engine has no place for learned weights; choose openvino")
    open_engine = cast(Opener, import_module(module).open_engine)
    return open_engine(settings, weights, frame_size, report or (lambda line: None))
