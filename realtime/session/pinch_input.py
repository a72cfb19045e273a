"""Opens the worker that confirms objects by pinches, and downloads its networks first where they are missing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from engines import weights
from engines.landmarks.hand_landmarker import MODEL, HandLandmarker
from engines.openvino_core import open_core
from realtime.infra.progress import ProgressReporter
from realtime.pipeline.control import CommandQueue
from realtime.pipeline.pinch_worker import PinchWorker
from realtime.tracking.pinch_detector import PinchSettings


def open_pinch_worker(
    settings: PinchSettings,
    models: Path | None,
    commands: CommandQueue,
    *,
    progress: ProgressReporter,
    notice: Callable[[str], None],
    every_frame: bool,
) -> PinchWorker:
    """Start the worker; raises `EngineError` without its networks or OpenVINO. notice, every_frame: as it has them."""
    open_core()  # an error of the start, not of the worker's thread
    weights.pull_model(MODEL, root=models, report=progress.show_bytes)
    worker = PinchWorker(lambda: HandLandmarker(models), settings, commands, notice, every_frame=every_frame)
    worker.start()
    return worker
