"""Reads COCO files, and their polygons and run lengths, whatever program wrote them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import cv2
import msgspec
import numpy as np
from numpy.typing import NDArray

from calibration.text import to_utf8
from engines import Mask
from realtime.comms.mask_encoding import MAX_PIXELS
from realtime.correction.events import unpack_mask
from realtime.errors import AnnotationError, RecordingError
from realtime.validation import read_value

FINE = 4
"""Parts of a pixel, along each side, on which polygons are filled."""
MAX_PLACE_PX = 1e5
EXPECTED = 'a data set of COCO, JSON with "images" and "annotations", as gazecast export --coco writes it'


class ImageFields(msgspec.Struct):
    """The fields of a picture that are read."""

    id: int
    file_name: str
    width: int
    height: int


class AnnotationFields(msgspec.Struct):
    """The fields of an annotation that are read. From `object` on: as exports of a recording have them."""

    id: int
    image_id: int
    segmentation: Any = None
    category_id: int = 0
    iscrowd: int | bool = 0
    object: int | None = None
    attributes: dict[str, Any] = msgspec.field(default_factory=dict)
    looked_at: bool = True
    point_coords: list[list[float]] | None = None
    gaze_radius_px: float | None = None


class CategoryFields(msgspec.Struct):
    """The fields of a category that are read."""

    id: int
    name: str


class DatasetFields(msgspec.Struct):
    """The fields of a file that are read."""

    images: list[ImageFields]
    annotations: list[AnnotationFields]
    categories: list[CategoryFields] = msgspec.field(default_factory=list)
    info: dict[str, Any] | None = None

    @property
    def recording_started(self) -> str:
        """When the recording began that gazecast exported; empty for data of another origin."""
        info = self.info or {}
        is_ours = str(info.get("contributor", "")).startswith("gazecast")
        return str(info.get("date_created", "")) if is_ours else ""


def find_frame_number(image: ImageFields) -> int:
    """Return the number of a frame, from 1, that the name of its picture states; 0 for another name."""
    stem = PurePosixPath(image.file_name.replace("\\", "/")).stem
    return int(stem) if stem.isascii() and stem.isdecimal() and len(stem) < 12 else 0


def read_dataset(file: Path) -> DatasetFields:
    """Read a file; raises `AnnotationError`."""
    return to_dataset(read_json(file), file)


def read_json(file: Path) -> Any:
    """Read a file as JSON; raises `AnnotationError`."""
    try:
        text = to_utf8(file.read_bytes())
        if not text.strip():
            raise AnnotationError(f"{file} is empty; expected {EXPECTED}")
        return json.loads(text)
    except OSError as error:
        raise AnnotationError(f"cannot read {file}: {error.strerror or error}") from None
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise AnnotationError(f"{file} is no JSON, or was cut off: {error}; expected {EXPECTED}") from None


def to_dataset(found: Any, file: Path) -> DatasetFields:
    """Read the JSON of a file as a data set; raises `AnnotationError`."""
    if not isinstance(found, dict) or not {"images", "annotations"} <= found.keys():
        keys = ", ".join(map(repr, found)) if isinstance(found, dict) else f"a {type(found).__name__}"
        raise AnnotationError(f"{file} holds {keys or 'nothing':.80}; expected {EXPECTED}")
    return read_value(found, DatasetFields, AnnotationError, file.name)


def check_size(size: tuple[int, int]) -> None:
    """Check (width, height) before memory is taken for a mask; raises `AnnotationError`."""
    if not 0 < size[0] * size[1] <= MAX_PIXELS or min(size) < 1:
        raise AnnotationError(f"a picture of {size[0]} x {size[1]} px, expected 1 to {MAX_PIXELS} pixels")


def read_segmentation(segmentation: Any, size: tuple[int, int]) -> Mask:
    """Read an (H, W) bool mask from COCO's polygons, run lengths or compressed run lengths; raises `AnnotationError`.

    Places of polygons count from the corner of the first pixel, as in COCO.
    """
    check_size(size)
    if isinstance(segmentation, dict):
        counts, stated = segmentation.get("counts"), segmentation.get("size")
        if stated != [size[1], size[0]]:
            raise AnnotationError(f"run lengths of size {stated}, expected {[size[1], size[0]]}")
        if isinstance(counts, str):
            try:
                return unpack_mask(counts, size)
            except RecordingError as error:
                raise AnnotationError(str(error)) from None
        return _read_runs(counts, size)
    if isinstance(segmentation, list) and segmentation:
        return _read_polygons(segmentation, size)
    raise AnnotationError("it has no mask, neither polygons nor run lengths; a box alone is not enough")


def _read_runs(counts: Any, size: tuple[int, int]) -> Mask:
    runs = read_value(counts, list[int], AnnotationError, "counts")
    if any(run < 0 for run in runs) or sum(runs) != size[0] * size[1]:
        raise AnnotationError(f"runs add up to {sum(runs)}, expected {size[0] * size[1]}")
    return np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(size).T


def _read_polygons(polygons: Sequence[Any], size: tuple[int, int]) -> Mask:
    mask = np.zeros((size[1], size[0]), np.bool_)
    for polygon in polygons:
        places = np.array(read_value(polygon, list[float], AnnotationError, "polygon"), np.float64)
        if len(places) < 6 or len(places) % 2 or not np.isfinite(places).all() or np.abs(places).max() > MAX_PLACE_PX:
            raise AnnotationError(f"a polygon of {len(places)} numbers; expected at least three x, y pairs")
        mask |= _fill_polygon(places.reshape(-1, 2), size)
    return mask


def _fill_polygon(corners: NDArray[np.float64], size: tuple[int, int]) -> Mask:
    """Fill the pixels of which half or more lie in a polygon, on a grid of `FINE` x `FINE` parts of a pixel."""
    mask = np.zeros((size[1], size[0]), np.bool_)
    x0, y0 = np.clip(np.floor(corners.min(0)), 0, size).astype(int)
    x1, y1 = np.clip(np.ceil(corners.max(0)), 0, size).astype(int)
    if x1 <= x0 or y1 <= y0:
        return mask
    canvas = np.zeros(((y1 - y0) * FINE, (x1 - x0) * FINE), np.uint8)
    fixed = np.round(((corners - (x0, y0)) * FINE - 0.5) * 16).astype(np.int32)
    cv2.fillPoly(canvas, [fixed.reshape(-1, 1, 2)], 255, shift=4)
    mask[y0:y1, x0:x1] = cv2.resize(canvas, (x1 - x0, y1 - y0), interpolation=cv2.INTER_AREA) >= 128
    return mask
