"""Exports a recording as a data set: pictures, and the masks of fixated objects as COCO with SA-1B's fields."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from pathlib import Path
from typing import Any, TypeVar

from realtime.commands.export.coco_json import (
    OBJECT,
    CocoAnnotation,
    CocoCategory,
    CocoImage,
    build_dataset,
    write_json,
)
from realtime.commands.export.csv_table import format_time
from realtime.commands.export.everything import EverythingAnnotator
from realtime.commands.export.targets import (
    ANNOTATIONS,
    CONTRIBUTOR,
    IMAGES,
    ExportTargets,
    OnTime,
    format_count,
    is_data_set,
)
from realtime.commands.replay import describe_engine
from realtime.correction.corrected_masks import CorrectedMasks
from realtime.correction.state import CorrectedMask
from realtime.errors import RecordingError
from realtime.recording.format import RecordedFrame
from realtime.recording.labels import LabelFile
from realtime.recording.mask_events import MaskEvent, RecordingEvent, pair_frames, read_mask_events
from realtime.recording.reader import RecordingReader
from realtime.recording.visits import VISIBLE_STATES
from realtime.types import FrameKey, GazeSample, Mask

_Event = TypeVar("_Event", bound=RecordingEvent)


def select_masks(masks: Iterable[MaskEvent], labels: LabelFile, every_s: float) -> dict[FrameKey, int]:
    """Select the best mask of each kept object in every `every_s` s; returns each frame's object.

    Best is confidence times score. A mask that is only carried shows an object that the gaze has left: none is
    selected. With 0 all others are.
    """
    best: dict[tuple[int, int], MaskEvent] = {}
    for number, mask in enumerate(masks):
        is_visible = mask.state in VISIBLE_STATES and mask.shows_object and mask.box is not None and mask.has_frame
        if is_visible and labels.get_label(mask.object).keep:
            slot = mask.object, number if every_s == 0 else int(mask.at_ns / 1e9 // every_s)
            if slot not in best or mask.quality > best[slot].quality:
                best[slot] = mask
    return {mask.key: mask.object for mask in best.values()}


def list_categories(objects: Iterable[int], labels: LabelFile) -> dict[str, CocoCategory]:
    """List the categories of objects by name; `object`, for those without a label, comes first."""
    names = {_name_category(number, labels) for number in objects}
    ordered = sorted(names, key=lambda name: (name != OBJECT.name, name))
    return {name: CocoCategory(number, name) for number, name in enumerate(ordered, start=1)}


def export_coco(
    recording: RecordingReader, labels: LabelFile, out: Path, targets: ExportTargets, on_time: OnTime,
    corrections: CorrectedMasks,
) -> list[str]:  # fmt: skip
    """Write a complete data set or none and return a report; raises `RecordingError` if there is nothing to write."""
    return export_data_set(recording, labels, out, targets, on_time, corrections)


def export_data_set(
    recording: RecordingReader, labels: LabelFile, out: Path, targets: ExportTargets, on_time: OnTime,
    corrections: CorrectedMasks, *, convert: Callable[[Path], None] = lambda folder: None,
) -> list[str]:  # fmt: skip
    """Write a COCO data set, have it converted in its place, and move it to `out`; see `export_coco`.

    out: of `resolve_target`.
    """
    part = Path(tempfile.mkdtemp(prefix=f".{out.name}.part-", dir=out.parent))
    try:
        part.chmod(0o755)
        line, *exceptions = _write_dataset(recording, labels, part, targets, on_time, corrections)
        convert(part)
        _move_into_place(part, out, force=targets.force)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return [f"{out}: {line}", *exceptions]


def take_annotations(folder: Path) -> dict[str, Any]:
    """Read the annotations of a data set that is converted in its place, and remove their file."""
    data: dict[str, Any] = json.loads((folder / ANNOTATIONS).read_bytes())
    shutil.rmtree((folder / ANNOTATIONS).parent)
    return data


def _write_dataset(
    recording: RecordingReader, labels: LabelFile, folder: Path, targets: ExportTargets, on_time: OnTime,
    corrections: CorrectedMasks,
) -> list[str]:  # fmt: skip
    recording.check_pictures("exported as a data set")
    names: dict[int, str] = {}
    events = _collect_names(report_times(corrections.adjust(read_mask_events(recording)), on_time), names)
    keys = select_masks(events, labels, targets.every_s)
    added = corrections.select_added(keys.items(), labels, targets.every_s)
    labels = labels.with_recognized_names(names)
    if not keys and not added:
        reason = "nothing was looked at, or all of it is dropped"
        raise RecordingError(f"{recording.path} holds no mask to export: {reason}")
    objects = {*keys.values(), *(mask.object for masks in added.values() for mask in masks)}
    annotator = _Annotator(recording, corrections, labels, objects, targets.everything)
    info = _describe(recording)
    pictures, annotations = folder / IMAGES, folder / ANNOTATIONS
    for made in (pictures, annotations.parent):
        made.mkdir()
    images: list[CocoImage] = []
    written: list[Any] = []
    broken = 0
    for number, (packed, mask) in enumerate(pair_frames(recording), 1):
        on_time(packed.received_ns)
        chosen = mask if mask is not None and packed.key in keys else None
        more = added.get(packed.key, [])
        if chosen is None and not more:
            continue
        size = chosen.size if chosen is not None else more[0].size
        if not _is_decodable(packed, size):
            broken += 1
            continue
        image = CocoImage(number, f"{number:06d}{'.jpg' if packed.format == 'jpeg' else '.png'}", *size)
        (pictures / image.file_name).write_bytes(packed.data)
        found = annotator.annotate(image, packed, chosen, [mask for mask in more if mask.size == size])
        single = build_dataset([image], found, annotator.kinds, info)
        written += single["annotations"]
        images.append(image)
        if targets.sa1b:
            write_json((pictures / image.file_name).with_suffix(".json"), single)
    if not images:
        raise RecordingError(f"{recording.path}: none of its {broken} pictures with a mask can be decoded")
    write_json(annotations, {**build_dataset(images, (), annotator.kinds, info), "annotations": written})
    count = sum("corrected" in each for each in written)
    line = f"{len(images)} pictures, {len(written)} masks of {', '.join(kind.name for kind in annotator.kinds)}"
    return [line, *format_count(count, "of them corrected"), *format_count(broken, "pictures could not be decoded")]


def _move_into_place(part: Path, out: Path, *, force: bool) -> None:
    """Rename `part` to `out`, which is absent or empty; with `force` an older data set there is removed after that."""
    if not (force and is_data_set(out)):
        part.replace(out)  # fails where files have come since the check
        return
    old = Path(tempfile.mkdtemp(prefix=f".{out.name}.old-", dir=out.parent))
    out.replace(old)
    try:
        part.replace(out)
    except OSError:
        old.replace(out)
        raise
    shutil.rmtree(old, ignore_errors=True)


def report_times(events: Iterable[_Event], on_time: OnTime) -> Iterator[_Event]:
    """Yield events; `on_time` receives the host time of each gaze sample and mask's frame, ns."""
    for event in events:
        if isinstance(event, GazeSample):
            on_time(event.received_ns)
        elif isinstance(event, MaskEvent):
            on_time(event.key.received_ns)
        yield event


def _collect_names(masks: Iterable[MaskEvent], names: dict[int, str]) -> Iterator[MaskEvent]:
    """Yield the masks, and collect what each object was recognized as at last."""
    for mask in masks:
        if mask.recognized:
            names[mask.object] = mask.recognized
        yield mask


def _name_category(number: int, labels: LabelFile) -> str:
    return labels.get_label(number).text or OBJECT.name


class _Annotator:
    """Makes the annotations of a picture. kinds: the categories of its data set."""

    def __init__(
        self, recording: RecordingReader, corrections: CorrectedMasks, labels: LabelFile, objects: Set[int],
        everything: EverythingAnnotator | None,
    ) -> None:  # fmt: skip
        self._recording, self._corrections = recording, corrections
        self._categories, self._labels, self._factor = list_categories(objects, labels), labels, id_factor(max(objects))
        self._everything = everything
        if everything is not None and OBJECT.name not in self._categories:
            number = len(self._categories) + 1
            self._categories[OBJECT.name] = CocoCategory(number, OBJECT.name)
        self.kinds = list(self._categories.values())

    def annotate(
        self, image: CocoImage, frame: RecordedFrame, mask: MaskEvent | None, added: Sequence[CorrectedMask]
    ) -> list[CocoAnnotation]:
        """Make the annotation of a published mask, which may be corrected, and of added ones."""
        found = [] if mask is None else [self._annotate_published(image, mask)]
        for each in added:
            extra = {"frame_index": frame.index, "timestamp": frame.timestamp, **self._describe(each.object, each)}
            found.append(self._make(image, each.object, each.unpack(), None, (), extra))
        if self._everything is not None:
            last_id, kind = (image.id + 1) * self._factor - 1, self._categories[OBJECT.name].id
            found += self._everything.annotate(image, frame.decode().image, found, last_id, kind)
        return found

    def _annotate_published(self, image: CocoImage, event: MaskEvent) -> CocoAnnotation:
        corrected, wall_ns = self._corrections.find(event), self._recording.about.wall_ns
        mask = self._corrections.read_message(self._recording, event).mask
        assert mask is not None  # as it has a box
        extra: dict[str, Any] = {
            **self._describe(event.object, corrected), "state": event.state, "score": event.confidence,
            "gaze_radius_px": event.gaze.radius, "frame_index": event.key.index, "timestamp": event.frame_s,
            "captured": format_time(event.at_ns + wall_ns),
        }  # fmt: skip
        if event.confirmed is not None:
            at = format_time(event.confirmed.at_ns + wall_ns)
            extra["confirmed"] = {"by": event.confirmed.by, "number": event.confirmed.number, "at": at}
        score = event.score if corrected is None else None
        return self._make(image, event.object, mask, score, ((event.gaze.x, event.gaze.y),), extra)

    def _make(
        self, image: CocoImage, object_id: int, mask: Mask, score: float | None,
        points: Sequence[tuple[float, float]], extra: Mapping[str, Any],
    ) -> CocoAnnotation:  # fmt: skip
        if self._everything is not None:
            extra = {**extra, "looked_at": True}
        category = self._categories[_name_category(object_id, self._labels)]
        number = image.id * self._factor + object_id
        return CocoAnnotation(image.id, number, mask, category.id, score, point_coords=points, extra=extra)

    @staticmethod
    def _describe(object_id: int, corrected: CorrectedMask | None) -> dict[str, Any]:
        """Describe the object; its number again as an attribute, which other programs keep."""
        fields: dict[str, Any] = {"object": object_id, "attributes": {"object": object_id}}
        if corrected is not None:
            fields["corrected"] = "carried" if corrected.is_carried else "here"
        return fields


def id_factor(last_object: int) -> int:
    """Return the factor of frame numbers in the ids of annotations: frame number * factor + object."""
    return 1000 if last_object < 1000 else 10**9


def _is_decodable(packed: RecordedFrame, size: tuple[int, int]) -> bool:
    try:
        return packed.decode().size == size
    except RecordingError:
        return False


def _describe(recording: RecordingReader) -> dict[str, Any]:
    about = recording.about
    return {
        "description": f"What was looked at in {recording.path.name}", "version": "1.0",
        "contributor": f"{CONTRIBUTOR} {about.program}".strip(), "date_created": about.started,
        "engine": describe_engine(about.engine),
    }  # fmt: skip
