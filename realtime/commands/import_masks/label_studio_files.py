"""Reads what Label Studio exports as JSON as COCO's fields."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath
from typing import Any

import msgspec

from realtime.correction.brush_runs import unpack_runs
from realtime.correction.coco_file import AnnotationFields, CategoryFields, DatasetFields, ImageFields
from realtime.correction.events import pack_mask
from realtime.errors import AnnotationError
from realtime.validation import read_value

UPLOADED = re.compile(r"^[0-9a-f]{8}-")
"""What Label Studio puts before the name of a picture that was uploaded to it."""
UNNUMBERED = 10**12
"""The ids of regions without a number of ours begin here."""


class _ValueFields(msgspec.Struct):
    """What a region holds: brush strokes, or a polygon in percent of the picture; neither of other shapes."""

    rle: list[int] | None = None
    points: list[list[float]] | None = None
    brushlabels: list[str] = []
    polygonlabels: list[str] = []


class _ResultFields(msgspec.Struct):
    """A region, or something else that a person has stated."""

    type: str
    value: _ValueFields
    id: str = ""
    original_width: int = 0
    original_height: int = 0


class _AnswerFields(msgspec.Struct):
    """What one person has answered about a task."""

    result: list[_ResultFields]
    was_cancelled: bool = False


class _TaskFields(msgspec.Struct):
    """A picture with the answers about it. data: the picture's address is its first text that names one."""

    data: dict[str, Any]
    annotations: list[_AnswerFields]


def read_label_studio(found: Sequence[Any], name: str) -> DatasetFields:
    """Read the tasks of a file that is called `name`; raises `AnnotationError`.

    Of several answers about one picture the last counts that was not skipped.
    """
    tasks = read_value(found, list[_TaskFields], AnnotationError, name)
    images: list[ImageFields] = []
    annotations: list[AnnotationFields] = []
    kinds: dict[str, int] = {}
    for number, task in enumerate(tasks, 1):
        answers = [each for each in task.annotations if not each.was_cancelled]
        regions = list(_list_regions(answers[-1].result, name)) if answers else []
        size = next(((each.original_width, each.original_height) for each in regions), (0, 0))
        images.append(ImageFields(number, _name_picture(task.data), *size))
        for region in regions:
            label = next(iter([*region.value.brushlabels, *region.value.polygonlabels]), "")
            kind = kinds.setdefault(label, len(kinds) + 1)
            is_ours = region.id.isascii() and region.id.isdecimal() and len(region.id) < 15
            number_of = int(region.id) if is_ours else UNNUMBERED + len(annotations)
            annotations.append(AnnotationFields(number_of, number, _read_mask(region, name), kind))
    origins = {(str(task.data.get("contributor", "")), str(task.data.get("recording", ""))) for task in tasks}
    contributor, began = origins.pop() if len(origins) == 1 else ("", "")
    info = {"contributor": contributor, "date_created": began}
    return DatasetFields(images, annotations, [CategoryFields(kind, label) for label, kind in kinds.items()], info)


def _list_regions(results: Sequence[_ResultFields], name: str) -> Iterator[_ResultFields]:
    """Yield the regions with a mask; raises `AnnotationError` for those without a size."""
    for each in results:
        if each.value.rle is None and each.value.points is None:
            continue
        if min(each.original_width, each.original_height) < 1:
            raise AnnotationError(
                f"{name}: region {each.id!r:.40} does not state the picture's original_width and _height"
            )
        yield each


def _name_picture(data: dict[str, Any]) -> str:
    """Return the name of a task's picture, as it was before it was uploaded."""
    address = next((text for text in (data.get("image"), *data.values()) if isinstance(text, str)), "")
    return UPLOADED.sub("", PurePosixPath(address.partition("?d=")[2] or address).name)


def _read_mask(region: _ResultFields, name: str) -> Any:
    """Return a region's mask as COCO's run lengths, or as a polygon."""
    width, height = region.original_width, region.original_height
    if region.value.rle is not None:
        try:
            counts = pack_mask(unpack_runs(region.value.rle, (width, height)))
        except AnnotationError as error:
            raise AnnotationError(f"{name}: region {region.id!r:.40} has {error}") from None
        return {"size": [height, width], "counts": counts}
    points = region.value.points or []
    if any(len(point) != 2 for point in points):
        raise AnnotationError(f"{name}: region {region.id!r:.40} has a polygon whose points are no x and y")
    return [[place * part / 100 for point in points for place, part in zip(point, (width, height), strict=True)]]
