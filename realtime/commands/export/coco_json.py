"""Masks as COCO's JSON with the fields of SA-1B, for `gazecast segment` and for exports. Pure, but for what writes.

COCO: T.-Y. Lin et al., "Microsoft COCO", ECCV 2014; SA-1B: Kirillov et al., "Segment Anything", ICCV 2023. A file of
either is one map; `build_dataset` makes a map that readers of both understand.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from realtime.comms.mask_encoding import encode_mask
from realtime.errors import AnnotationError
from realtime.media.files import write_atomically
from realtime.types import Mask


@dataclass(frozen=True, slots=True)
class CocoImage:
    """One picture: its number, the name of its file as a reader will look for it, and its size in pixels."""

    id: int
    file_name: str
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class CocoCategory:
    """A class of things; ids count from 1."""

    id: int
    name: str
    supercategory: str = ""


OBJECT = CocoCategory(1, "object")
"""What everything is whose name nobody has said: SAM finds things and does not name them."""


@dataclass(frozen=True, slots=True, eq=False)
class CocoAnnotation:
    """One mask on one picture.

    id: its own in the whole file, from 1: COCO's evaluation takes 0 for "no match".
    mask: (H, W) bool, of the picture's size.
    predicted_iou, stability_score: 0..1, None where there was none.
    point_coords: the points that it was asked with, (x, y) px of the picture; empty for a box.
    crop_box: x, y, width, height px of the part of the picture that was looked at, None for all of it.
    extra: more fields for the file, as JSON; they may not stand for any of the others.
    """

    image_id: int
    id: int
    mask: Mask
    category_id: int = OBJECT.id
    predicted_iou: float | None = None
    stability_score: float | None = None
    point_coords: Sequence[tuple[float, float]] = ()
    crop_box: tuple[int, int, int, int] | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)


def annotation_fields(annotation: CocoAnnotation) -> dict[str, Any]:
    """One annotation as its map.

    `segmentation` is {size: [height, width], counts: compressed run lengths as text}, `bbox` is x, y, width, height of
    the pixels inside (SAM's own generator writes the last pixel's place minus the first's, one less each way), `area`
    their number. Scores that are None are left out; they would be no numbers to readers who expect some.
    """
    mask = annotation.mask
    if mask.ndim != 2 or mask.dtype != np.bool_ or not mask.size:
        raise AnnotationError(f"a mask must be (H, W) bool, got {mask.shape} {mask.dtype}")
    if annotation.id < 1:
        raise AnnotationError(f"an annotation's id must be at least 1, got {annotation.id}")
    height, width = mask.shape
    fields: dict[str, Any] = {
        "id": annotation.id,
        "image_id": annotation.image_id,
        "category_id": annotation.category_id,
        "iscrowd": 0,
        "segmentation": {"size": [height, width], "counts": encode_mask(mask, "coco_rle")["data"].decode("ascii")},
        "bbox": _bbox(mask),
        "area": int(np.count_nonzero(mask)),
        "point_coords": [[float(x), float(y)] for x, y in annotation.point_coords],
        "crop_box": list(annotation.crop_box or (0, 0, width, height)),
    }
    for name in ("predicted_iou", "stability_score"):
        if (score := getattr(annotation, name)) is not None:
            fields[name] = float(score)
    if taken := fields.keys() & annotation.extra.keys():
        raise AnnotationError(f"extra fields may not be called {', '.join(sorted(taken))}")
    return {**fields, **annotation.extra}


def build_dataset(
    images: Sequence[CocoImage],
    annotations: Iterable[CocoAnnotation],
    categories: Sequence[CocoCategory] = (OBJECT,),
    info: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """A whole file's map: COCO's `info`, `images`, `annotations`, `categories`, and for one picture SA-1B's `image`.

    annotations: taken one at a time, so that a generator need not hold all of its masks.
    Raises `AnnotationError` for an annotation of no picture or category here, of another size, or with a number twice.
    """
    sizes = _by_id("picture", [(image.id, (image.height, image.width)) for image in images])
    kinds = _by_id("category", [(category.id, category.name) for category in categories])
    written: list[dict[str, Any]] = []
    seen: set[int] = set()
    for annotation in annotations:
        size = sizes.get(annotation.image_id)
        if size is None:
            raise AnnotationError(f"annotation {annotation.id} is of picture {annotation.image_id}, which is not here")
        if annotation.mask.shape != size:
            raise AnnotationError(f"annotation {annotation.id} is {annotation.mask.shape}, its picture {size}")
        if annotation.category_id not in kinds:
            raise AnnotationError(f"annotation {annotation.id} is of category {annotation.category_id}, unknown here")
        if annotation.id in seen:
            raise AnnotationError(f"there are two annotations {annotation.id}; each needs its own id")
        seen.add(annotation.id)
        written.append(annotation_fields(annotation))
    pictures = [{"id": i.id, "file_name": i.file_name, "width": i.width, "height": i.height} for i in images]
    out: dict[str, Any] = {
        "info": dict(info or {}),
        "images": pictures,
        "annotations": written,
        "categories": [{"id": c.id, "name": c.name, "supercategory": c.supercategory} for c in categories],
    }
    if len(pictures) == 1:
        only = dict(pictures[0])
        out["image"] = {"image_id": only.pop("id"), **only}
    return out


def write_json(path: Path, fields: Mapping[str, Any]) -> None:
    """Write a map as JSON, whole or not at all; raises `AnnotationError` where it is none, OSError from the disk."""
    try:
        text = json.dumps(fields, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise AnnotationError(f"{path.name} cannot be written as JSON: {error}") from None
    write_atomically(path, f"{text}\n".encode())


def _bbox(mask: Mask) -> list[int]:
    """x, y, width, height of the pixels inside, all 0 of none."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not len(rows):
        return [0, 0, 0, 0]
    x, y = int(columns[0]), int(rows[0])
    return [x, y, int(columns[-1]) + 1 - x, int(rows[-1]) + 1 - y]


def _by_id(what: str, items: Sequence[tuple[int, Any]]) -> dict[int, Any]:
    found = dict(items)
    if len(found) < len(items):
        raise AnnotationError(f"two of the {what} ids {[number for number, _ in items]} are the same")
    return found
