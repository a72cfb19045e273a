"""Converts masks to COCO's JSON with the fields of SA-1B, for `gazecast segment` and for exports.

COCO: T.-Y. Lin et al., "Microsoft COCO", ECCV 2014; SA-1B: Kirillov et al., "Segment Anything", ICCV 2023. A file of
either is one JSON object; `build_dataset` makes an object that readers of both understand.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from realtime.comms.mask_encoding import encode_mask
from realtime.errors import AnnotationError
from realtime.files import write_atomically
from realtime.types import Mask


@dataclass(frozen=True, slots=True)
class CocoImage:
    """Describes one picture: its id, its file relative to the JSON's folder, and its size, px."""

    id: int
    file_name: str
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class CocoCategory:
    """Describes a class of objects; ids count from 1."""

    id: int
    name: str
    supercategory: str = ""


OBJECT = CocoCategory(1, "object")
"""The category of objects without a label: SAM finds objects and does not name them."""


@dataclass(frozen=True, slots=True, eq=False)
class CocoAnnotation:
    """Holds one mask of one picture.

    id: unique in the file, from 1: COCO's evaluation takes 0 for "no match".
    mask: (H, W) bool, of the picture's size.
    predicted_iou, stability_score: 0..1, None if unknown.
    point_coords: the prompt's points, (x, y) px of the picture; empty for a box.
    crop_box: x, y, width, height px of the part of the picture that was segmented, None for all of it.
    extra: more fields for the file, as JSON; they may not replace any of the others.
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


def convert_annotation(annotation: CocoAnnotation) -> dict[str, Any]:
    """Convert one annotation to a JSON object; raises `AnnotationError`.

    `segmentation` is {size: [height, width], counts: compressed run lengths as text}, `bbox` is x, y, width, height of
    the pixels inside (SAM's own generator subtracts the first pixel's place from the last's, one less each way), `area`
    their number. Scores that are None are left out, because readers expect numbers.
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
        "bbox": list(cv2.boundingRect(mask.astype(np.uint8))),
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
    """Build a file's content: COCO's fields, with `licenses`, which some readers want; for one picture SA-1B's `image`.

    annotations: consumed one by one, so a generator need not hold all masks.
    Raises `AnnotationError` for an annotation with an unknown picture or category, another size, or a repeated id.
    """
    sizes = {image.id: (image.height, image.width) for image in images}
    kinds = [category.id for category in categories]
    for kind, ids in (("picture", [image.id for image in images]), ("category", kinds)):
        if len(set(ids)) < len(ids):
            raise AnnotationError(f"two of the {kind} ids {ids} are the same")
    written: dict[int, dict[str, Any]] = {}
    for annotation in annotations:
        size = sizes.get(annotation.image_id)
        if size is None:
            raise AnnotationError(f"annotation {annotation.id} is of picture {annotation.image_id}, which is not here")
        if annotation.mask.shape != size:
            raise AnnotationError(f"annotation {annotation.id} is {annotation.mask.shape}, its picture {size}")
        if annotation.category_id not in kinds:
            raise AnnotationError(f"annotation {annotation.id} is of category {annotation.category_id}, unknown here")
        if annotation.id in written:
            raise AnnotationError(f"there are two annotations {annotation.id}; each needs its own id")
        written[annotation.id] = convert_annotation(annotation)
    dataset: dict[str, Any] = {
        "info": dict(info or {}),
        "licenses": [],
        "images": [asdict(image) for image in images],
        "annotations": list(written.values()),
        "categories": [asdict(category) for category in categories],
    }
    if len(images) == 1:
        fields = asdict(images[0])
        dataset["image"] = {"image_id": fields.pop("id"), **fields}
    return dataset


def write_json(path: Path, fields: Mapping[str, Any] | Sequence[Any]) -> None:
    """Write a JSON object or array atomically; raises `AnnotationError` for values that are not JSON, and OSError."""
    try:
        text = json.dumps(fields, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise AnnotationError(f"{path.name} cannot be written as JSON: {error}") from None
    write_atomically(path, f"{text}\n".encode())
