"""Reads labelled pictures from a COCO file, as `gazecast export --coco` and labelling programs write them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from engines import Image, Mask
from engines.pictures import PictureError, read_picture
from realtime.correction.coco_file import AnnotationFields, read_dataset, read_segmentation
from realtime.errors import AnnotationError, LearningError
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
        dataset = read_dataset(file)
    except AnnotationError as error:
        raise LearningError(str(error)) from None
    by_picture: dict[int, list[AnnotationFields]] = {}
    for each in dataset.annotations:
        if not each.iscrowd:
            by_picture.setdefault(each.image_id, []).append(each)
    group = name_recording(dataset.recording_started)
    labelled = [image for image in dataset.images if image.id in by_picture]
    if not labelled:
        raise LearningError(
            f"{file} has {len(dataset.images)} pictures and {len(dataset.annotations)} annotations, and no annotation "
            "is of one of these pictures; export it again with its masks"
        )
    files = [_find_picture(file.parent, image.file_name) for image in labelled]
    if missing := [each for each in files if not each.is_file()]:
        raise LearningError(
            f"{len(missing)} of {len(files)} pictures of {file} are not there, such as {missing[0]}; expected in its "
            "own folder, or in `images` in it or beside that: put them there, or export it again with pictures"
        )
    return [
        LabelledPicture(
            place.name, partial(_load, place, (image.width, image.height)),
            partial(_read_objects, by_picture[image.id], (image.width, image.height)), group,
        ) for place, image in zip(files, labelled, strict=True)
    ]  # fmt: skip


def name_recording(started: str) -> str:
    """Name a recording by the time at which it began, which its exports carry too; empty for none."""
    return hash_texts(["recording", started]) if started else ""


def _load(file: Path, size: tuple[int, int]) -> Image:
    try:
        picture: Image = read_picture(file)
    except PictureError as error:
        raise LearningError(str(error)) from None
    if (picture.shape[1], picture.shape[0]) != size:
        raise LearningError(
            f"{file} is {picture.shape[1]} x {picture.shape[0]} px, and its labels are for {size[0]} x {size[1]}; "
            "use the pictures that were labelled, or export the labels again"
        )
    return picture


def _read_objects(annotations: Sequence[AnnotationFields], size: tuple[int, int]) -> Iterator[LabelledObject]:
    for fields in annotations:
        try:
            mask = read_segmentation(fields.segmentation, size)
        except AnnotationError as error:
            raise LearningError(f"annotation {fields.id} cannot be read: {error!s:.200}") from None
        number, radius = fields.id if fields.object is None else fields.object, fields.gaze_radius_px or 0.0
        if mask.any():
            yield LabelledObject(mask, str(number), _find_point(fields, size), radius if 0 < radius < math.inf else 0.0)


def _find_point(fields: AnnotationFields, size: tuple[int, int]) -> tuple[float, float] | None:
    """Find the one gaze point within the picture."""
    points = fields.point_coords or ()
    if len(points) != 1 or len(points[0]) != 2 or not all(0 <= a < b for a, b in zip(points[0], size, strict=True)):
        return None
    return points[0][0], points[0][1]


def _find_picture(folder: Path, name: str) -> Path:
    places = [folder / each / name for each in FOLDERS]
    return next((place for place in places if place.is_file()), places[0])
