"""A recording of a disc that moves over a textured ground, whose recorded masks are wrong."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from engines import Image, Mask
from engines.fake import open_fake
from realtime.correction.editor import ReviewEditor
from realtime.correction.frame_corrector import FrameCorrector
from realtime.correction.frame_segmenter import FrameSegmenter
from realtime.recording.timeline import Timeline
from tests.realtime.recording import object_recordings
from tests.realtime.recording.object_recordings import SIZE, run

RADIUS = 9
FIRST, COUNT = 5, 24
"""The first frame in which object 1 is shown, and in how many."""


def centre_of(number: int) -> tuple[int, int]:
    """Return x, y px of the disc's centre."""
    return 16 + number % 30, 24


def truth_of(number: int) -> Mask:
    """Return the (H, W) mask of the disc."""
    out = np.zeros((SIZE[1], SIZE[0]), np.uint8)
    cv2.circle(out, centre_of(number), RADIUS, 1, -1)
    return out > 0


def draw(number: int) -> Image:
    """Draw a bright disc on a dark ground, in whose corner is something else."""
    noise = np.random.default_rng(3).integers(0, 24, (SIZE[1], SIZE[0], 3), np.uint8)
    image = cv2.GaussianBlur(noise, (0, 0), 1.0) + np.uint8(40)
    image[2:10, 4:13] = (220, 120, 30)
    image[truth_of(number)] = (40, 60, 220)
    return np.ascontiguousarray(image)


def record(folder: Path, recognized: str = "") -> Path:
    """Record frames without an object, with object 1, and without one again."""
    shown = [*run(FIRST, None), *run(COUNT, 1, confidence=0.5, recognized=recognized), *run(8, None)]
    return object_recordings.record(folder / "disc.mcap", shown, draw=draw)


def open_corrector(path: Path) -> tuple[Timeline, ReviewEditor, FrameCorrector]:
    """Open a recording, read it to its end, and make a corrector with the fake engine."""
    timeline = Timeline(path)
    timeline.read()
    editor = ReviewEditor(path)
    return timeline, editor, FrameCorrector(timeline, editor, FrameSegmenter(open_fake))


def share_of(number: int) -> tuple[float, float]:
    """Return the disc's centre in shares of the frame."""
    x, y = centre_of(number)
    return (x + 0.5) / SIZE[0], (y + 0.5) / SIZE[1]


def compute_iou(a: Mask, b: Mask) -> float:
    """Compute the intersection over union of two masks."""
    return float((a & b).sum() / max(1, (a | b).sum()))
