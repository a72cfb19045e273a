"""Reads stills with several labelled objects, and the objects in them that may be fixated."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from engines import Image, Mask

SIZE = (640, 480)
"""Every picture is cut to this (width, height), as all frames of a camera have one size."""
MIN_FREE_SHARE = 0.3
"""An object that smaller ones cover beyond this has no place of its own to fixate."""


@dataclass(frozen=True, slots=True, eq=False)
class FixationTarget:
    """An object to fixate. mask: (H, W) bool. point_px: the deepest point that no smaller object covers."""

    category: str
    mask: Mask
    point_px: tuple[float, float]


@dataclass(frozen=True, slots=True, eq=False)
class Still:
    """A picture, (H, W, 3) uint8 BGR, the targets in it, and the names of all its labelled objects."""

    name: str
    picture: Image
    targets: tuple[FixationTarget, ...]
    categories: frozenset[str]


def load_stills(root: Path, min_share: float, count: int, seed: int) -> list[Still]:
    """Load pictures with about `count` targets in all, spread evenly over them, in an order that the seed draws.

    root: holds images/ and annotations.json with the objects' polygons. min_share: a target's least share of its
    picture.
    """
    rng = np.random.default_rng(seed)
    found: list[Still] = []
    for entry in json.loads((root / "annotations.json").read_text())["images"]:
        fit = _fill_frame(entry["width"], entry["height"])
        objects = _draw_masks(entry["objects"], fit)
        targets = _find_targets(objects, min_share)
        rng.shuffle(targets)  # type: ignore[arg-type]
        if targets:
            picture = cv2.imread(str(root / "images" / entry["image"]))
            picture = np.asarray(cv2.warpAffine(picture, fit, SIZE, flags=cv2.INTER_AREA), np.uint8)
            found.append(Still(entry["image"], picture, tuple(targets), frozenset(name for name, _ in objects)))
    if not found:
        raise SystemExit(f"no picture below {root} has an object that covers {min_share:g} of it")
    rng.shuffle(found)  # type: ignore[arg-type]
    each = max(1, -(-count // len(found)))
    return [replace(still, targets=still.targets[:each]) for still in found]


def _fill_frame(width: int, height: int) -> Any:
    """Make the (2, 3) map that fills the frame with a picture, cutting what is too long."""
    zoom = max(SIZE[0] / width, SIZE[1] / height)
    return np.array([[zoom, 0, (SIZE[0] - zoom * width) / 2], [0, zoom, (SIZE[1] - zoom * height) / 2]])


def _draw_masks(objects: Sequence[dict[str, Any]], fit: Any) -> list[tuple[str, Mask]]:
    """Draw the objects' polygons, leaving out those outside the frame."""
    drawn = []
    for labelled in objects:
        polygon = np.array(labelled["polygon"]) @ fit[:, :2].T + fit[:, 2]
        mask = draw_polygon(polygon, SIZE[::-1])
        if mask.any():
            drawn.append((labelled.get("category", "?"), mask))
    return drawn


def draw_polygon(polygon: Any, shape: tuple[int, ...]) -> Mask:
    """Draw an (N, 2) polygon, px, as an (H, W) mask of a shape."""
    mask = np.zeros(shape, np.uint8)
    cv2.fillPoly(mask, [np.round(np.asarray(polygon)).astype(np.int32)], 1)
    return np.asarray(mask > 0)


def _find_targets(objects: Sequence[tuple[str, Mask]], min_share: float) -> list[FixationTarget]:
    """Find the objects that are large enough, and where nothing smaller covers them."""
    targets = []
    areas = [int(mask.sum()) for _, mask in objects]
    for (category, mask), area in zip(objects, areas, strict=True):
        free = mask.copy()
        for (_, other), size in zip(objects, areas, strict=True):
            if size < area:
                free &= ~other
        if area < min_share * mask.size or free.sum() < MIN_FREE_SHARE * area:
            continue
        depth = cv2.distanceTransform(np.pad(free.astype(np.uint8), 1), cv2.DIST_L2, 5)[1:-1, 1:-1]
        row, column = np.unravel_index(int(depth.argmax()), depth.shape)
        targets.append(FixationTarget(category, mask, (float(column), float(row))))
    return targets
