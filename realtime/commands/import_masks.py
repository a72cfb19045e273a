"""Implements `gazecast import`: masks that were corrected in another program go back to a recording."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import cv2
import msgspec
import numpy as np
from numpy.typing import NDArray

from calibration.text import to_utf8
from engines import Mask
from realtime.commands.export.coco import id_factor
from realtime.correction.corrected_masks import CorrectedMasks
from realtime.correction.editor import ReviewEditor
from realtime.correction.events import CorrectionEvent, pack_mask, unpack_mask
from realtime.errors import AnnotationError, RecordingError
from realtime.recording.labels import ObjectLabel
from realtime.recording.mask_events import MaskEvent, pair_frames
from realtime.recording.reader import RecordingReader
from realtime.types import FrameKey
from realtime.validation import read_value

SAME_IOU = 0.5
"""An annotation without an object's number is the object whose mask overlaps it most, from this IoU on."""

FINE = 4
"""Parts of a pixel, along each side, on which polygons are filled."""
MAX_PLACE_PX = 1e5


class _ImageFields(msgspec.Struct):
    id: int
    file_name: str
    width: int
    height: int


class _AnnotationFields(msgspec.Struct):
    id: int
    image_id: int
    segmentation: Any
    category_id: int = 0
    object: int | None = None
    attributes: dict[str, Any] = msgspec.field(default_factory=dict)
    looked_at: bool = True


class _CategoryFields(msgspec.Struct):
    id: int
    name: str


class _DatasetFields(msgspec.Struct):
    images: list[_ImageFields]
    annotations: list[_AnnotationFields]
    categories: list[_CategoryFields] = msgspec.field(default_factory=list)


@dataclass(slots=True)
class ImportReport:
    """Counts what an import did. problems: what was left out, by reason, with the first example."""

    corrected: int = 0
    unchanged: int = 0
    added: int = 0
    named: int = 0
    problems: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)

    def leave_out(self, reason: str, example: str) -> None:
        """Count what was left out."""
        self.problems[reason] += 1
        self.examples.setdefault(reason, example)

    def lines(self) -> Iterator[str]:
        """Yield the lines of a report."""
        yield (f"{self.corrected} masks corrected, {self.added} added, {self.unchanged} unchanged; "
               f"{self.named} objects named")  # fmt: skip
        for reason, count in self.problems.items():
            yield f"left out: {count} {reason}, such as {self.examples[reason]}"


@dataclass(frozen=True, slots=True)
class _FrameMasks:
    """Holds the masks of a frame that are in force, by object."""

    key: FrameKey
    size: tuple[int, int]
    masks: Mapping[int, Mask]


def import_masks(file: Path, recording: RecordingReader, *, should_add: bool = False) -> ImportReport:
    """Add the changed masks of a COCO file to a recording's corrections, as one answer that can be undone.

    should_add: make new objects of masks that belong to none. Raises `AnnotationError` and `RecordingError`.
    """
    dataset, report = _read_dataset(file), ImportReport()
    editor = ReviewEditor(recording.path)
    images = {image.id: image for image in dataset.images}
    if len(images) < len(dataset.images):
        raise AnnotationError(f"{file}: two pictures have the same id")
    frames, last_object = _read_frames(recording, editor, {_frame_number(image) for image in images.values()})
    counts = Counter(each.image_id for each in dataset.annotations)
    matcher = _Matcher(frames, last_object, counts, report, should_add=should_add)
    unique = Counter(each.id for each in dataset.annotations)
    for repeated, count in unique.items():
        if count > 1:
            report.leave_out("ids that several annotations have", f"{repeated}, {count} times")
    events, names = [], {kind.id: kind.name for kind in dataset.categories}
    named: dict[int, str] = {}
    for annotation in dataset.annotations:
        if unique[annotation.id] > 1 or not annotation.looked_at:
            continue
        try:
            event = matcher.match(annotation, images.get(annotation.image_id), file.name)
        except _Unmatched as unmatched:
            report.leave_out(unmatched.reason, unmatched.example)
            continue
        named[event.object] = names.get(annotation.category_id, "")
        if event.mask:
            events.append(event)
    if events:
        editor.correct(events)
    report.named = _save_names(editor, named)
    return report


def _save_names(editor: ReviewEditor, named: Mapping[int, str]) -> int:
    """Name the objects by their categories; `object` is that of objects without a name."""
    count, labels = 0, editor.labels
    for object_id, name in named.items():
        label = labels.get_label(object_id)
        if name in ("", "object", label.text):
            continue
        try:
            count += editor.set_label(object_id, ObjectLabel(" ".join(name.split()), label.keep))
        except ValueError as error:
            raise AnnotationError(str(error)) from None
    return count


class _Unmatched(Exception):
    """An annotation that is left out."""

    def __init__(self, reason: str, example: str) -> None:
        super().__init__(reason)
        self.reason, self.example = reason, example


class _Matcher:
    """Finds the frame and the object of annotations."""

    def __init__(
        self, frames: Mapping[int, _FrameMasks], last_object: int, counts: Mapping[int, int], report: ImportReport, *,
        should_add: bool,
    ) -> None:  # fmt: skip
        """counts: of annotations by the id of their picture."""
        self._frames, self._counts, self._report, self._should_add = frames, counts, report, should_add
        self._last_object, self._factor = last_object, id_factor(last_object)
        self._taken: set[tuple[int, int]] = set()

    def match(self, annotation: _AnnotationFields, image: _ImageFields | None, source: str) -> CorrectionEvent:
        """Return the correction that an annotation makes, without a mask where it changes nothing."""
        name = f"annotation {annotation.id}"
        if image is None:
            example = f"{name} of picture {annotation.image_id}"
            raise _Unmatched("annotations of a picture that is not in the file", example)
        number = _frame_number(image)
        frame = self._frames.get(number)
        if frame is None:
            raise _Unmatched("annotations of a picture that is no frame of the recording", image.file_name)
        size = image.width, image.height
        if size != frame.size:
            example = f"{image.file_name}: {size[0]} x {size[1]}, recorded {frame.size[0]} x {frame.size[1]}"
            raise _Unmatched("annotations of another size than the frame", example)
        try:
            mask = read_segmentation(annotation.segmentation, size)
        except AnnotationError as error:
            raise _Unmatched("annotations whose mask cannot be read", f"{name}: {error}") from None
        object_id = self._find_object(annotation, number, frame, mask)
        if object_id is None:
            example = f"{name} in {image.file_name}"
            raise _Unmatched("annotations that belong to no object (--add makes new ones)", example)
        if (number, object_id) in self._taken:
            example = f"{name}, object {object_id}"
            raise _Unmatched("annotations of an object that has another mask in the same frame", example)
        self._taken.add((number, object_id))
        before = frame.masks.get(object_id)
        is_same = before is not None and _is_same(before, mask, is_polygon=isinstance(annotation.segmentation, list))
        self._report.unchanged += is_same
        self._report.corrected += before is not None and not is_same
        self._report.added += before is None
        return CorrectionEvent(
            object=object_id, frame=frame.key, size=size, means="import", mask="" if is_same else pack_mask(mask),
            source=source,
        )  # fmt: skip

    def _find_object(
        self, annotation: _AnnotationFields, number: int, frame: _FrameMasks, mask: Mask
    ) -> int | None:  # fmt: skip
        """Find the object by its number, by the annotation's id, or by the masks of the frame; None for a new one."""
        attribute = annotation.attributes.get("object")
        for stated in (annotation.object, attribute):
            if isinstance(stated, int | float) and not isinstance(stated, bool) and 0 < stated <= self._last_object:
                return int(stated)
        if annotation.id // self._factor == number and annotation.id % self._factor in frame.masks:
            return annotation.id % self._factor
        overlaps = {known: _compute_iou(mask, other) for known, other in frame.masks.items()}
        best = max(overlaps.items(), key=lambda item: item[1], default=(0, 0.0))
        is_alone = len(frame.masks) == 1 and self._counts[annotation.image_id] == 1
        if best[1] >= SAME_IOU or is_alone:
            return best[0]
        if not self._should_add:
            return None
        self._last_object += 1
        return self._last_object


def _is_same(before: Mask, mask: Mask, *, is_polygon: bool) -> bool:
    """Return whether a mask is the one before; of polygons, which are no more exact, along the edge within a pixel."""
    changed = before ^ mask
    if not is_polygon or not changed.any():
        return not changed.any()
    square, whole = np.ones((3, 3), np.uint8), before.astype(np.uint8)
    edge = cv2.dilate(whole, square) != cv2.erode(whole, square)
    return not (changed & ~np.asarray(edge)).any()


def _compute_iou(a: Mask, b: Mask) -> float:
    return int(np.count_nonzero(a & b)) / max(1, int(np.count_nonzero(a | b)))


def _frame_number(image: _ImageFields) -> int:
    """Return the number of a frame, from 1, that the name of its picture states; 0 for another name."""
    stem = PurePosixPath(image.file_name.replace("\\", "/")).stem
    return int(stem) if stem.isascii() and stem.isdecimal() and len(stem) < 12 else 0


def _read_dataset(file: Path) -> _DatasetFields:
    try:
        found = json.loads(to_utf8(file.read_bytes()))
    except OSError as error:
        raise AnnotationError(f"cannot read {file}: {error.strerror or error}") from None
    except (ValueError, RecursionError) as error:
        raise AnnotationError(f"{file} is no JSON: {error}") from None
    return read_value(found, _DatasetFields, AnnotationError, file.name)


def _read_frames(
    recording: RecordingReader, editor: ReviewEditor, numbers: set[int]
) -> tuple[dict[int, _FrameMasks], int]:
    """Read the masks in force in frames of these numbers, and the highest number of an object."""
    corrections, frames = CorrectedMasks(editor.state), {}
    last = max((event.object for event in editor.state.events if isinstance(event, CorrectionEvent)), default=0)
    for number, (packed, event) in enumerate(pair_frames(recording), 1):
        last = max(last, event.object if event is not None else 0)
        if number in numbers:
            masks = {each.object: each.unpack() for each in editor.state.find_masks(packed.key).values()}
            if event is not None and event.object not in masks and event.shows_object:
                recorded = corrections.read_message(recording, event).mask
                masks |= {} if recorded is None else {event.object: recorded}
            frames[number] = _FrameMasks(packed.key, _find_size(packed, event), masks)
    return frames, last


def _find_size(packed: Any, event: MaskEvent | None) -> tuple[int, int]:
    size: tuple[int, int] = event.size if event is not None else packed.decode().size
    return size


def read_segmentation(segmentation: Any, size: tuple[int, int]) -> Mask:
    """Read an (H, W) bool mask from COCO's polygons, run lengths or compressed run lengths; raises `AnnotationError`.

    Places of polygons count from the corner of the first pixel, as in COCO.
    """
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
    raise AnnotationError("neither polygons nor run lengths")


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
