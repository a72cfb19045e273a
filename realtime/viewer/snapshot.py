"""Writes snapshots: one frame, its mask, both together, and their metadata, as files in a folder."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from realtime.comms.messages import MaskMessage
from realtime.errors import SnapshotError
from realtime.files import find_free_name, write_atomically
from realtime.media.overlay import draw_overlay
from realtime.pipeline.observers import FrameResult
from realtime.pipeline.result_worker import ResultWorker
from realtime.types import FrameRef


class SnapshotWorker(ResultWorker):
    """A worker that writes snapshots, because a disk may be slow; the newest request wins."""

    name = "snapshots"

    def __init__(
        self, folder: Path, report: Callable[[str], None], clock: Callable[[], time.struct_time] = time.localtime
    ) -> None:
        """report: called with the outcome of each snapshot as a short text. clock: names the snapshots."""
        super().__init__()
        self._folder, self._report, self._clock = folder, report, clock

    def handle(self, result: FrameResult | None) -> None:
        """Write a frame and its mask, and report it."""
        if result is None:
            return
        try:
            written = save_snapshot(result, self._folder, time.strftime("%Y%m%d-%H%M%S", self._clock()))
            self._report(f"saved {written[0].with_suffix('')}-*.png")
        except SnapshotError as error:
            self._report(str(error))


def save_snapshot(result: FrameResult, folder: Path, name: str) -> list[Path]:
    """Write NAME-frame.png, NAME-overlay.png, NAME.json and, if there is a mask, NAME-mask.png (0 and 255), for
    their user alone.

    The JSON file has the fields of topic `mask`, without the mask itself. Images have the frame's own pixels. Existing
    files are not replaced: a number is added to the name. Raises `SnapshotError`.
    """
    message, image = result.result, result.frame.image
    images = {"frame": image, "overlay": draw_overlay(image, message)}
    metadata: dict[str, Any] = {"frame": asdict(FrameRef.of(result.frame))}
    if message is not None:
        metadata = {**MaskMessage.from_result(message).to_fields(), "timing_ns": asdict(message.timing_ns)}
        del metadata["mask"]
        if message.mask is not None:
            images["mask"] = message.mask.astype(np.uint8) * 255
    try:
        folder.mkdir(parents=True, exist_ok=True)
        name = find_free_name(folder, name, ".json")
        written = [folder / f"{name}.json"]
        text = json.dumps(metadata, indent=1, allow_nan=False) + "\n"
        write_atomically(written[0], text.encode(), is_private=True)
        for kind, picture in images.items():
            path = folder / f"{name}-{kind}.png"
            write_atomically(path, cv2.imencode(".png", picture)[1].tobytes(), is_private=True)
            written.append(path)
    except OSError as error:
        raise SnapshotError(f"cannot write a snapshot into {folder}: {error.strerror or error}") from None
    return written
