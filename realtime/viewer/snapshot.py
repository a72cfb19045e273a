"""A snapshot: one frame, its mask, both together, and what was said of them, left in a folder."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from realtime.comms import MaskMessage
from realtime.errors import SnapshotError
from realtime.media.files import free_name
from realtime.media.overlay import draw
from realtime.pipeline.observers import FrameResult
from realtime.types import FrameRef


def save(shown: FrameResult, folder: Path, name: str) -> list[Path]:
    """Write NAME-frame.png, NAME-overlay.png, NAME.json and, if there is a mask, NAME-mask.png (0 and 255).

    Pictures have the frame's own pixels. Existing files are not replaced: a number is added to the name. Raises
    `SnapshotError`.
    """
    message, image = shown.message, shown.frame.image
    pictures = {"frame": image, "overlay": draw(image, message)}
    if message is not None and message.mask is not None:
        pictures["mask"] = message.mask.astype(np.uint8) * 255
    try:
        folder.mkdir(parents=True, exist_ok=True)
        name = free_name(folder, name, ".json")
        left = [folder / f"{name}.json"]
        left[0].write_text(json.dumps(_said(shown), indent=1, allow_nan=False) + "\n")
        for what, picture in pictures.items():
            path = folder / f"{name}-{what}.png"
            path.write_bytes(cv2.imencode(".png", picture)[1].tobytes())
            left.append(path)
    except OSError as error:
        raise SnapshotError(f"cannot leave a snapshot in {folder}: {error.strerror or error}") from None
    return left


def _said(shown: FrameResult) -> dict[str, Any]:
    """What `mask` publishes, without the mask."""
    if shown.message is None:
        return {"frame": asdict(FrameRef.of(shown.frame))}
    fields = MaskMessage.of_result(shown.message).fields()
    del fields["mask"]
    return {**fields, "timing_ns": asdict(shown.message.timing_ns)}
