"""Reads labelled pictures from a COCO file, as `gazecast export --coco` and labelling programs write them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from engines import Image, Mask
from engines.pictures import PictureError, read_picture
from realtime.comms.mask_encoding import MAX_PIXELS, decode_mask
from realtime.errors import LearningError, WireError
from realtime.learning.looks import hash_texts

FOLDERS = ("", "images", "../images", "..")
"""Where the pictures of a file lie, from its own folder."""


@dataclass(frozen=True, slots=True, eq=False)
class LabelledObject:
    """Holds an object of a picture.

    mask: (H, W) bool. name: unique in its picture, or of the object in its recording. point_px, radius_px: where it was
    looked at, and the gaze's error; None and 0 if unknown.
    """

    mask: Mask = field(repr=False)
    name: str
    point_px: tuple[float, float] | None = None
    radius_px: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class LabelledPicture:
    """A picture whose objects are known. load, read_objects: raise `LearningError`.

    group: of the recording that it comes from; empty where each picture is apart.
    """

    name: str
    load: Callable[[], Image] = field(repr=False)
    read_objects: Callable[[], Iterable[LabelledObject]] = field(repr=False)
    group: str = ""


def read_coco(file: Path) -> list[LabelledPicture]:
    """Read the pictures that have objects; raises `LearningError`."""
    try:
        content = json.loads(file.read_bytes())
        by_picture: dict[Any, list[dict[str, Any]]] = {}
        for fields in content["annotations"]:
            by_picture.setdefault(fields["image_id"], []).append(fields)
        info = content.get("info") or {}
        is_ours = str(info.get("contributor", "")).startswith("gazecast")
        group = name_recording(str(info.get("date_created", ""))) if is_ours else ""
        found = [
            _describe_picture(file.parent, image, by_picture[image["id"]], group)
            for image in content["images"] if image["id"] in by_picture
        ]  # fmt: skip
    except OSError as error:
        raise LearningError(f"cannot read {file}: {error.strerror or error}") from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise LearningError(f"{file} is not a COCO file: {error!r:.120}") from None
    if not found:
        raise LearningError(f"{file} has no picture with an annotation")
    return found


def name_recording(started: str) -> str:
    """Name a recording by the time at which it began, which its exports carry too; empty for none."""
    return hash_texts(["recording", started]) if started else ""


def _describe_picture(
    folder: Path, image: Mapping[str, Any], annotations: Sequence[Mapping[str, Any]], group: str
) -> LabelledPicture:
    file, size = _find_picture(folder, str(image["file_name"])), (int(image["width"]), int(image["height"]))

    def load() -> Image:
        try:
            picture: Image = read_picture(file)
        except PictureError as error:
            raise LearningError(str(error)) from None
        if (picture.shape[1], picture.shape[0]) != size:
            raise LearningError(f"{file} is {picture.shape[1]} x {picture.shape[0]} px, and its labels are for {size}")
        return picture

    return LabelledPicture(file.name, load, lambda: _read_objects(annotations, size), group)


def _read_objects(annotations: Sequence[Mapping[str, Any]], size: tuple[int, int]) -> Iterator[LabelledObject]:
    for fields in annotations:
        if fields.get("iscrowd"):
            continue
        try:
            mask = decode_segmentation(fields["segmentation"], size)
            points = [(float(x), float(y)) for x, y, *_ in fields.get("point_coords") or ()]
            radius = float(fields.get("gaze_radius_px") or 0)
        except (WireError, KeyError, TypeError, ValueError, IndexError) as error:
            raise LearningError(f"annotation {fields.get('id')!r:.40} cannot be read: {error!s:.200}") from None
        point = (
            points[0] if len(points) == 1 and all(0 <= a < b for a, b in zip(points[0], size, strict=True)) else None
        )
        if mask.any():
            yield LabelledObject(mask, str(fields.get("object", fields.get("id"))), point, radius)


def decode_segmentation(segmentation: Any, size: tuple[int, int]) -> Mask:
    """Decode polygons, or run lengths with or without compression, to an (H, W) mask; raises `WireError`."""
    width, height = size
    if not 0 < width * height <= MAX_PIXELS:
        raise WireError(f"a mask of {width} x {height} px; at most {MAX_PIXELS} pixels are possible")
    if isinstance(segmentation, list):
        mask = np.zeros((height, width), np.uint8)
        for polygon in segmentation:
            corners = np.array(polygon, np.float64).reshape(-1, 2)
            cv2.fillPoly(mask, [np.round(corners).astype(np.int32)], 1)
        return np.asarray(mask > 0)
    counts = segmentation["counts"]
    if list(segmentation["size"]) != [height, width]:
        raise WireError(f"a mask of {segmentation['size']}, expected {[height, width]}")
    if isinstance(counts, list):
        runs = np.array(counts, np.int64)
        if (runs < 0).any() or runs.sum() != width * height:
            raise WireError("run lengths that do not add up to the picture")
        return np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(width, height).T
    data = str(counts).encode("ascii", "replace")
    return decode_mask({"encoding": "coco_rle", "width": width, "height": height, "data": data})


def _find_picture(folder: Path, name: str) -> Path:
    places = [folder / each / name for each in FOLDERS]
    return next((place for place in places if place.is_file()), places[0])
