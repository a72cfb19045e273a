"""Tests that composed clips show their object where their masks are, and are the same every time."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from benchmarks.streaming_eval.composed_clips import FRAMES, SIZE, compose_clips


def write_stills(folder: Path, side: int = 60) -> Path:
    """Write two pictures: a red square on black with its polygon, and a blue one without an object."""
    (folder / "images").mkdir()
    red, blue = np.zeros((200, 300, 3), np.uint8), np.full((200, 300, 3), (200, 40, 0), np.uint8)
    red[70 : 70 + side, 100 : 100 + side] = (0, 0, 230)
    corners = [[100, 70], [99 + side, 70], [99 + side, 69 + side], [100, 69 + side]]
    for name, image in (("a.png", red), ("b.png", blue)):
        cv2.imwrite(str(folder / "images" / name), image)
    entries = [{"image": "a.png", "objects": [{"polygon": corners}]}, {"image": "b.png", "objects": []}]
    (folder / "annotations.json").write_text(json.dumps({"images": entries}))
    return folder


def test_the_object_is_where_its_mask_is(tmp_path: Path) -> None:
    (clip,) = compose_clips(write_stills(tmp_path), 1)
    assert (len(clip), clip.size) == (FRAMES, SIZE)
    for picture, mask in list(zip(clip.pictures, clip.objects[0], strict=True))[::10]:
        red = picture[..., 2].astype(int) - picture[..., 0] > 60
        assert (red & mask).sum() > 0.9 * (red | mask).sum() > 0


def test_it_moves_and_its_background_too(tmp_path: Path) -> None:
    (clip,) = compose_clips(write_stills(tmp_path), 1)
    centres = np.array([np.argwhere(mask).mean(0) for mask in clip.objects[0]])
    steps = np.linalg.norm(np.diff(centres, axis=0), axis=1)
    assert 0.5 < steps.mean() < 20


def test_the_same_seed_gives_the_same_clips(tmp_path: Path) -> None:
    stills = write_stills(tmp_path)
    first, again, other = (compose_clips(stills, 1, seed)[0].jpegs for seed in (1, 1, 2))
    assert first == again != other


def test_stills_without_a_usable_object_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="has no object of 3% to 30%"):
        compose_clips(write_stills(tmp_path, side=10), 1)
