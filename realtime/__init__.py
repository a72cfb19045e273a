"""Runs gazecast in real time: sources, tracking, pipeline, messages, viewer, recordings, commands.

Public names: `MaskSubscriber` receives published masks, `Requester` sends requests to a run, `GazeSegmenter` runs
engine and tracker in a program's own loop and returns a `MaskResult` per frame. Errors have the base `GazecastError`.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from realtime.comms.mask_subscriber import MaskSubscriber
    from realtime.comms.request_client import Requester
    from realtime.errors import GazecastError
    from realtime.session.gaze_segmenter import GazeSegmenter
    from realtime.types import MaskResult

if next(Path(__file__).parent.parent.glob("realtime-*.dist-info"), None) is not None:
    raise ImportError(
        f"another distribution with a package `realtime` is installed in {Path(__file__).parent.parent}: files of one "
        "have overwritten those of the other. Install gazecast into an environment of its own."
    )

__all__ = ["GazeSegmenter", "GazecastError", "MaskResult", "MaskSubscriber", "Requester"]

_MODULES = {
    "GazeSegmenter": "realtime.session.gaze_segmenter",
    "GazecastError": "realtime.errors",
    "MaskResult": "realtime.types",
    "MaskSubscriber": "realtime.comms.mask_subscriber",
    "Requester": "realtime.comms.request_client",
}


def __getattr__(name: str) -> Any:
    """Import a public name on first use: every module of this package runs this file, and most need no sockets."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return getattr(import_module(_MODULES[name]), name)
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"realtime.{name} needs {error.name}, which is not installed; it is in the extra run: "
            "pip install -e '.[run]' in gazecast's folder",
            name=error.name,
        ) from error
