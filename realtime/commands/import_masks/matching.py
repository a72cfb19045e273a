"""Finds the frame and the object of annotations that another program changed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import cv2
import numpy as np

from engines import Mask
from realtime.commands.export.coco import id_factor
from realtime.correction.coco_file import (
    AnnotationFields,
    ImageFields,
    find_frame_number,
    read_segmentation,
)
from realtime.correction.events import CorrectionEvent, pack_mask
from realtime.errors import AnnotationError
from realtime.types import FrameKey

SAME_IOU = 0.5
"""An annotation without an object's number is the object whose mask overlaps it most, from this IoU on."""


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
        for problem in self.describe_problems():
            yield f"left out: {problem}"

    def describe_problems(self) -> Iterator[str]:
        """Yield what was left out, with its number and the first example."""
        for reason, count in self.problems.items():
            yield f"{count} {reason}, such as {self.examples[reason]}"


@dataclass(frozen=True, slots=True)
class FrameMasks:
    """Holds the masks of a frame that are in force, by object."""

    key: FrameKey
    size: tuple[int, int]
    masks: Mapping[int, Mask]


class UnmatchedAnnotation(Exception):
    """An annotation that is left out."""

    def __init__(self, reason: str, example: str) -> None:
        super().__init__(reason)
        self.reason, self.example = reason, example


class AnnotationMatcher:
    """Finds the frame and the object of annotations, and counts in a report what they change."""

    def __init__(
        self, frames: Mapping[int, FrameMasks], last_object: int, counts: Mapping[int, int], report: ImportReport, *,
        should_add: bool,
    ) -> None:  # fmt: skip
        """counts: of annotations by the id of their picture."""
        self._frames, self._counts, self._report, self._should_add = frames, counts, report, should_add
        self._last_object, self._factor = last_object, id_factor(last_object)
        self._taken: set[tuple[int, int]] = set()

    def match(self, annotation: AnnotationFields, image: ImageFields | None, source: str) -> CorrectionEvent:
        """Return the correction that an annotation makes, without a mask where it changes nothing."""
        name = f"annotation {annotation.id}"
        if image is None:
            example = f"{name} of picture {annotation.image_id}"
            raise UnmatchedAnnotation("annotations of a picture that is not in the file", example)
        number = find_frame_number(image)
        frame = self._frames.get(number)
        if frame is None:
            raise UnmatchedAnnotation("annotations of a picture that is no frame of the recording", image.file_name)
        size = image.width, image.height
        if size != frame.size:
            example = f"{image.file_name}: {size[0]} x {size[1]}, recorded {frame.size[0]} x {frame.size[1]}"
            raise UnmatchedAnnotation("annotations of another size than the frame", example)
        try:
            mask = read_segmentation(annotation.segmentation, size)
        except AnnotationError as error:
            raise UnmatchedAnnotation("annotations whose mask cannot be read", f"{name}: {error}") from None
        object_id = self._find_object(annotation, number, frame, mask)
        if object_id is None:
            example = f"{name} in {image.file_name}"
            raise UnmatchedAnnotation("annotations that belong to no object (--add makes new ones)", example)
        if (number, object_id) in self._taken:
            example = f"{name}, object {object_id}"
            raise UnmatchedAnnotation("annotations of an object that has another mask in the same frame", example)
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
        self, annotation: AnnotationFields, number: int, frame: FrameMasks, mask: Mask
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
