"""Composes clips with exact masks from labelled stills: an object of one picture moves over another picture.

They are a check on what was tuned on filmed clips: the object travels, turns, grows and bends, and the background
moves as seen by a turning head. Light, noise and compression are those of a webcam.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.streaming_eval.clips import Clip
from benchmarks.streaming_eval.stills import draw_polygon
from engines import Image, Mask
from engines.pictures import resize_and_crop

SIZE = (854, 480)
FRAMES = 72
AREA = (0.03, 0.3)
"""Limits of an object's share of its own picture."""
SPEEDS_PX = (2.0, 5.0, 9.0)
"""Mean speeds of the object over the background, px per frame; clips take them in turn."""
QUALITY = 88


def compose_clips(stills: Path, count: int, seed: int = 1) -> list[Clip]:
    """Compose `count` clips from a folder with annotations.json and images/; the same seed gives the same clips."""
    rng = np.random.default_rng(seed)
    images = json.loads((stills / "annotations.json").read_text())["images"]
    pictures = [_read(stills, entry["image"]) for entry in images]
    objects = [(k, mask) for k, entry in enumerate(images) for mask in _whole_objects(entry, pictures[k])]
    if not objects:
        raise SystemExit(f"{stills} has no object of {AREA[0]:.0%} to {AREA[1]:.0%} of its picture inside the picture")
    rng.shuffle(objects)
    return [
        _compose(f"composed-{k}", pictures, *objects[k % len(objects)], SPEEDS_PX[k % len(SPEEDS_PX)], rng)
        for k in range(count)
    ]


def _read(stills: Path, name: str) -> Image:
    image = cv2.imread(str(stills / "images" / name))
    if image is None:
        raise SystemExit(f"{stills / 'images' / name} is no picture")
    return np.asarray(image, np.uint8)


def _whole_objects(entry: dict, image: Image) -> list[Mask]:
    """Draw the masks of a picture's objects that do not touch its border."""
    out = []
    for labelled in entry["objects"]:
        mask = draw_polygon(labelled["polygon"], image.shape[:2])
        inside = mask[2:-2, 2:-2]
        if AREA[0] <= mask.mean() <= AREA[1] and inside.sum() == mask.sum():
            out.append(mask)
    return out


def _compose(
    name: str, pictures: Sequence[Image], source: int, mask: Mask, speed_px: float, rng: np.random.Generator
) -> Clip:
    x, y, w, h = cv2.boundingRect(mask.astype(np.uint8))
    # The polygon's rim shows the object's own background.
    alpha = cv2.GaussianBlur(cv2.erode(mask[y : y + h, x : x + w].astype(np.float32), np.ones((3, 3))), (0, 0), 0.8)
    cut = pictures[source][y : y + h, x : x + w].astype(np.float32)
    other = (source + int(rng.integers(1, len(pictures)))) % len(pictures)
    ground = resize_and_crop(pictures[other], (round(SIZE[0] * 1.3), round(SIZE[1] * 1.3))).astype(np.float32)
    size = float(rng.uniform(0.35, 0.65)) * SIZE[1] / max(h, w)
    path = _wander(rng, FRAMES, 2) * np.array([0.3 * SIZE[0], 0.25 * SIZE[1]])
    steps = np.linalg.norm(np.diff(path, axis=0), axis=1).mean()
    path *= min(1.0, speed_px / max(steps, 1e-6))
    turn, grow, light = (_wander(rng, FRAMES, 1)[:, 0] * k for k in (0.35, 0.25, 0.1))
    head = _wander(rng, FRAMES, 2) * 0.1 * np.array(SIZE)
    phase, bend = float(rng.uniform(0, 6)), float(rng.uniform(0.0, 0.05))
    jpegs, truths = [], []
    for k in range(FRAMES):
        corner = np.array([[1.0, 0, -0.15 * SIZE[0] + head[k, 0]], [0, 1.0, -0.15 * SIZE[1] + head[k, 1]]])
        frame = cv2.warpAffine(ground, corner, SIZE, borderMode=cv2.BORDER_REFLECT)
        scale = size * float(np.exp(grow[k]))
        placed = cv2.getRotationMatrix2D((w / 2, h / 2), float(np.degrees(turn[k])), scale)
        placed[:, 2] += np.array(SIZE) / 2 - np.array([w, h]) / 2 + path[k] + head[k]
        waved = _bend(np.dstack([cut, alpha]), bend * np.sin(phase + k / 5))
        laid = cv2.warpAffine(waved, placed, SIZE, flags=cv2.INTER_LINEAR)
        share = laid[..., 3:]
        frame = (frame * (1 - share) + laid[..., :3] * share) * (1 + light[k]) + rng.normal(0, 2.5, frame.shape)
        picture = np.clip(frame, 0, 255).astype(np.uint8)
        jpegs.append(cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes())
        truths.append(np.asarray(share[..., 0] > 0.5))
    return Clip(name, tuple(jpegs), (tuple(truths),))


def _wander(rng: np.random.Generator, count: int, columns: int) -> NDArray[np.float64]:
    """Draw (count, columns) smooth paths between -1 and 1: three waves of one to four periods each."""
    at = np.linspace(0, 2 * np.pi, count)[:, None]
    waves = sum(np.sin(at * rng.uniform(0.7, 4, columns) + rng.uniform(0, 6, columns)) for _ in range(3))
    return np.asarray(waves) / 3


def _bend(picture: NDArray[np.float32], amount: float) -> NDArray[np.float32]:
    """Bend (H, W, C) sideways along one wave from top to bottom; amount: share of the height."""
    h, w = picture.shape[:2]
    rows, columns = np.mgrid[:h, :w].astype(np.float32)
    columns += (amount * h * np.sin(rows / h * 2 * np.pi)).astype(np.float32)
    return np.asarray(cv2.remap(picture, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT), np.float32)
