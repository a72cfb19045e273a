"""Joins the demo's two parts, a rendered table top and the street clip, with their scripted gaze and true masks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from engines import Image, Mask
from realtime.commands.demo.scripted_gaze import STREET, ScriptedFixation, draw_outlined, list_settled_spans
from realtime.errors import SourceError
from realtime.sources.video.video_reader import VideoFile

TABLE = Path(__file__).with_name("table.mp4")
TABLE_TRUTH = Path(__file__).with_name("table.npz")
"""Names of the objects, fixated a second each; by frame, the gaze, px, and the fixated object's true mask, as bits."""


@dataclass(frozen=True, slots=True, eq=False)
class ScriptedTarget:
    """Holds an object that is fixated, and its true masks by frame of the clip.

    is_exact: whether the masks are the renderer's own, not drawn by hand.
    """

    name: str
    masks: Mapping[int, Mask]
    is_exact: bool


class DemoClip(VideoFile):
    """The two parts as one clip; the second is letterboxed to the size of the first."""

    def __init__(self, first: Path, second: VideoFile | None) -> None:
        """second: None without a street clip. Raises `SourceError` as `VideoFile` does."""
        self._second = second  # the base class reads a frame
        super().__init__(first)

    def frames(self) -> Iterator[tuple[float, Image]]:
        """Yield (seconds since the first frame, (H, W, 3) BGR)."""
        start_s = 0.0
        for at_s, image in super().frames():
            start_s = at_s + 1 / self.fps
            yield at_s, image
        for at_s, image in self._second.frames() if self._second else ():
            margin = (self.size[1] - image.shape[0]) // 2
            padded = cv2.copyMakeBorder(image, margin, margin, 0, 0, cv2.BORDER_CONSTANT)
            yield start_s + at_s, np.asarray(padded, np.uint8)


def load_table() -> tuple[list[ScriptedFixation], list[ScriptedTarget]]:
    """Load the fixations of the table's objects and their true masks; raises `SourceError`."""
    try:
        with np.load(TABLE_TRUTH) as truth:
            names, gaze, masks = truth["names"].tolist(), truth["gaze"].tolist(), np.unpackbits(truth["masks"], axis=-1)
    except (OSError, ValueError, KeyError) as error:
        raise SourceError(f"{TABLE_TRUTH} cannot be read: {error}; install gazecast anew") from error
    each = len(gaze) // len(names)
    fixations: list[ScriptedFixation] = []
    targets: list[ScriptedTarget] = []
    for turn, name in enumerate(names):
        frames = range(turn * each, (turn + 1) * each)
        fixations.append(ScriptedFixation(name, tuple((frame, *gaze[frame]) for frame in frames)))
        # a saccade, of less than two frames, ends where the next fixation begins
        settled = {frame: masks[frame].astype(np.bool_) for frame in frames[:-1]}
        targets.append(ScriptedTarget(name, settled, is_exact=True))
    return fixations, targets


def place_street(
    first_frame: int, table_size: tuple[int, int], size: tuple[int, int]
) -> tuple[list[ScriptedFixation], list[ScriptedTarget]]:
    """Place the street's fixations and outlined objects behind the table's frames; sizes are (width, height) px."""
    margin = (table_size[1] - size[1]) // 2
    placed, targets = [], []
    for fixation, (name, span) in zip(STREET, list_settled_spans(STREET), strict=True):
        points = tuple((frame + first_frame, x, y + margin) for frame, x, y in fixation.points)
        placed.append(replace(fixation, points=points))
        if fixation.outline:
            drawn = draw_outlined(fixation, span, size)
            masks = {frame + first_frame: np.pad(mask, ((margin, margin), (0, 0))) for frame, mask in drawn.items()}
            targets.append(ScriptedTarget(name, masks, is_exact=False))
    return placed, targets
