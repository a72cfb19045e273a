"""Open an engine by its settings. Backends are imported when they are chosen, never before."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import cast

from engines.base import Decoder, Encoder, EngineUnavailable
from engines.settings import EngineSettings

Report = Callable[[str], None]
Opener = Callable[[EngineSettings, Path | None, tuple[int, int] | None, Report], tuple[Encoder, Decoder]]

BACKENDS = {
    "openvino": "engines.backends.openvino:open_engine",
    "onnxruntime": "engines.backends.onnxruntime:open_engine",
    "torch": "engines.backends.torch:open_engine",
    "tensorrt": "engines.backends.tensorrt:open_engine",
    "stock": "engines.backends.stock:open_engine",
    "fake": "engines.fake:open_engine",
}
"""Backend name -> "module:function" of an `Opener`."""


def load(
    settings: EngineSettings,
    weights: Path | None,
    *,
    frame_size: tuple[int, int] | None = None,
    report: Report | None = None,
) -> tuple[Encoder, Decoder]:
    """Open the encoder and decoder that belong together.

    weights: the folder with the model's weight files; `fake` needs none.
    frame_size: (width, height) of the frames to come, so that their graph is ready before the first one. Frames of
    another shape work too; their graph is built when they come.
    report: is given a line of progress now and then. One that has a method `steps(done, total, text)` is told the
    progress of long builds too, and may raise there to stop them.

    Raises `EngineUnavailable` where the backend cannot run here, `ModelError` for weights or cached engines that are
    missing or not what they should be.
    """
    if (place := BACKENDS.get(settings.backend)) is None:
        raise EngineUnavailable(f"no backend {settings.backend!r}; choose one of {', '.join(BACKENDS)}")
    module, function = place.split(":")
    opener = cast(Opener, getattr(import_module(module), function))
    return opener(settings, weights, frame_size, report or (lambda line: None))
