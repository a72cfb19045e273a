"""Reads clips with a true mask for every frame, in the layout NAME/frames/*.jpg and NAME/masks/*.png (as DAVIS)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np

from engines import Image, Mask

QUALITY = 95
FOLLOW_FRAMES = 6.0
"""Standard deviation of the window over which a crop's path is smoothed: a quarter of a second, as heads move."""


@dataclass(frozen=True, eq=False)
class Clip:
    """Holds a clip. jpegs: the frames. objects: for every object that may be fixated, an (H, W) bool mask a frame."""

    name: str
    jpegs: tuple[bytes, ...]
    objects: tuple[tuple[Mask, ...], ...]

    def __len__(self) -> int:
        return len(self.jpegs)

    @property
    def size(self) -> tuple[int, int]:
        """Return (width, height), px."""
        height, width = self.objects[0][0].shape
        return width, height

    @cached_property
    def pictures(self) -> list[Image]:
        """Decode the frames: (H, W, 3) uint8 BGR each."""
        return [np.asarray(cv2.imdecode(np.frombuffer(jpeg, np.uint8), 1), np.uint8) for jpeg in self.jpegs]


def load_clips(root: Path, only: Sequence[str] = ()) -> list[Clip]:
    """Load every clip below `root`, or those named; SystemExit with what was expected if there are none."""
    clips = []
    for folder in sorted(root.glob("*")):
        frames, masks = sorted(folder.glob("frames/*.jpg")), sorted(folder.glob("masks/*.png"))
        if frames and len(frames) == len(masks) and (not only or folder.name in only):
            truth = tuple(np.asarray(cv2.imread(str(path), 0)) > 127 for path in masks)
            clips.append(Clip(folder.name, tuple(path.read_bytes() for path in frames), (truth,)))
    if not clips:
        wanted = f" named {', '.join(only)}" if only else ""
        raise SystemExit(f"no clips{wanted} below {root}; expected NAME/frames/*.jpg and as many NAME/masks/*.png")
    return clips


def side_by_side(left: Clip, right: Clip, count: int) -> Clip:
    """Join two clips to one of `count` frames of the left one's size: two objects, each in its half.

    Each half is a window at full scale that follows its object as a turning head does. A clip that is too short is
    played back and forth, so that nothing cuts.
    """
    width, height = left.size
    halves = [_half(left, count, width // 2, height), _half(right, count, width - width // 2, height)]
    jpegs: list[bytes] = []
    objects: tuple[list[Mask], list[Mask]] = [], []
    for (a, truth_a), (b, truth_b) in zip(*halves, strict=True):
        jpegs.append(cv2.imencode(".jpg", np.hstack([a, b]), [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes())
        objects[0].append(np.hstack([truth_a, np.zeros_like(truth_b)]))
        objects[1].append(np.hstack([np.zeros_like(truth_a), truth_b]))
    return Clip(f"{left.name}+{right.name}", tuple(jpegs), (tuple(objects[0]), tuple(objects[1])))


def pair_neighbours(clips: Sequence[Clip], count: int) -> list[Clip]:
    """Join every clip with the next one, so that each is once left and once right."""
    if len(clips) < 2:
        raise SystemExit("two objects need two clips; name more or leave --only away")
    last = len(clips) if len(clips) > 2 else 1
    return [side_by_side(clips[i], clips[(i + 1) % len(clips)], count) for i in range(last)]


def back_and_forth(length: int, count: int) -> list[int]:
    """Return `count` indices up to `length` - 1, back to 0 and so on; no two equal in a row but for length 1."""
    turn = list(range(length)) + list(range(length - 2, 0, -1))
    return [turn[i % len(turn)] for i in range(count)]


def _half(clip: Clip, count: int, width: int, height: int) -> list[tuple[Image, Mask]]:
    if clip.size[1] != height or clip.size[0] < width:
        raise SystemExit(f"{clip.name} is {clip.size[0]}x{clip.size[1]}; clips side by side must be of one height")
    order = back_and_forth(len(clip), count)
    masks = [clip.objects[0][i] for i in order]
    lefts = _followed([_middle(mask) for mask in masks], width, clip.size[0])
    return [
        (clip.pictures[i][:, x : x + width], mask[:, x : x + width])
        for i, x, mask in zip(order, lefts, masks, strict=True)
    ]


def _middle(mask: Mask) -> float:
    x, _, w, _ = cv2.boundingRect(mask.astype(np.uint8))
    return x + w / 2 if w else np.nan


def _followed(middles: Sequence[float], width: int, whole: int) -> list[int]:
    """Compute the left edges of a window of `width` px that follows a path smoothly within a picture of `whole` px."""
    path = np.array(middles, np.float64)
    known = np.isfinite(path)
    path = np.interp(np.arange(len(path)), np.flatnonzero(known), path[known]) if known.any() else path * 0 + whole / 2
    smooth = cv2.GaussianBlur(path[None], (0, 0), FOLLOW_FRAMES, borderType=cv2.BORDER_REFLECT_101)[0]
    return [int(x) for x in np.clip(np.round(smooth - width / 2), 0, whole - width)]
