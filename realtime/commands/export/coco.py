"""A recording as a data set: pictures, and what was looked at in them as COCO annotations with SA-1B's fields."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from realtime.commands.export.coco_json import (
    OBJECT,
    CocoAnnotation,
    CocoCategory,
    CocoImage,
    build_dataset,
    write_json,
)
from realtime.commands.export.csv_table import format_time
from realtime.errors import RecordingError
from realtime.recording.format import RecordedFrame
from realtime.recording.labels import LabelFile
from realtime.recording.mask_events import MaskEvent, pair_frames, read_mask_events
from realtime.recording.reader import RecordingReader
from realtime.recording.visits import VISIBLE_STATES
from realtime.types import FrameKey

ANNOTATIONS, IMAGES = "annotations.json", "images"


@dataclass(frozen=True, slots=True)
class CocoSelection:
    """A data set that was written. broken: pictures left out because they cannot be decoded."""

    images: int
    annotations: int
    categories: tuple[str, ...]
    broken: int


def select_masks(seen: Iterable[MaskEvent], labels: LabelFile, every_s: float) -> dict[FrameKey, int]:
    """Which frames to take, and the object on each: of every object that is kept its best mask of every `every_s`.

    Best is confidence times score. A mask that is only carried on shows what the eyes no longer rest on, and none is
    taken. With 0 all others are.
    """
    best: dict[tuple[int, int], MaskEvent] = {}
    for number, sight in enumerate(seen):
        if (
            sight.state not in VISIBLE_STATES
            or sight.box is None
            or not sight.has_frame
            or not labels.get_label(sight.object).keep
        ):
            continue
        slot = sight.object, number if every_s == 0 else int(sight.at_ns / 1e9 // every_s)
        if slot not in best or sight.quality > best[slot].quality:
            best[slot] = sight
    return {sight.key: sight.object for sight in best.values()}


def list_categories(objects: Iterable[int], labels: LabelFile) -> dict[str, CocoCategory]:
    """The classes of these objects by name: `object` for those without a label, and first."""
    names = {labels.get_label(thing).text or OBJECT.name for thing in objects}
    ordered = sorted(names, key=lambda name: (name != OBJECT.name, name))
    return {name: CocoCategory(number, name) for number, name in enumerate(ordered, start=1)}


def export_coco(
    recording: RecordingReader,
    labels: LabelFile,
    folder: Path,
    told: Callable[[int], None],
    *,
    every_s: float,
    sa1b: bool,
) -> CocoSelection:
    """Write the data set into an empty folder; raises `RecordingError` where there is nothing to write.

    told: is given the host time of each mask and frame, and may raise to end it. sa1b: also one file for each picture.
    """
    keys = select_masks(_watched(read_mask_events(recording), told), labels, every_s)
    if not keys:
        raise RecordingError(
            f"{recording.path} holds no mask to export: nothing was looked at, or all of it is dropped"
        )
    categories = list_categories(keys.values(), labels)
    kinds, info = list(categories.values()), _info(recording)
    (folder / IMAGES).mkdir()
    images: list[CocoImage] = []
    written: list[Any] = []
    broken = 0
    for packed, sight in pair_frames(recording):
        told(packed.received_ns)
        if sight is None or packed.key not in keys:
            continue
        if not _sound(packed, sight):
            broken += 1
            continue
        number = len(images) + 1
        image = CocoImage(number, f"{IMAGES}/{number:06d}{'.jpg' if packed.format == 'jpeg' else '.png'}", *sight.size)
        (folder / image.file_name).write_bytes(packed.data)
        category = categories[labels.get_label(sight.object).text or OBJECT.name]
        one = build_dataset([image], [_annotation(recording, sight, number, category)], kinds, info)
        written += one["annotations"]
        images.append(image)
        if sa1b:
            write_json((folder / image.file_name).with_suffix(".json"), one)
    if not images:
        raise RecordingError(f"{recording.path}: none of its {broken} pictures with a mask can be decoded")
    write_json(folder / ANNOTATIONS, {**build_dataset(images, (), kinds, info), "annotations": written})
    return CocoSelection(len(images), len(written), tuple(categories), broken)


def _annotation(recording: RecordingReader, sight: MaskEvent, number: int, category: CocoCategory) -> CocoAnnotation:
    mask = recording.read_mask(sight.entry).mask
    assert mask is not None  # as it has a box
    extra = {
        "object": sight.object, "state": sight.state, "confidence": sight.confidence,
        "gaze_radius_px": sight.gaze.radius, "frame_index": sight.key.index, "timestamp": sight.frame_s,
        "captured": format_time(sight.at_ns + recording.about.wall_ns),
    }  # fmt: skip
    points = ((sight.gaze.x, sight.gaze.y),)
    return CocoAnnotation(number, number, mask, category.id, sight.score, point_coords=points, extra=extra)


def _sound(packed: RecordedFrame, sight: MaskEvent) -> bool:
    """Whether its picture can be decoded, and is what the mask is of."""
    try:
        return packed.decode().size == sight.size
    except RecordingError:
        return False


def _info(recording: RecordingReader) -> Mapping[str, Any]:
    about = recording.about
    engine = " ".join(str(about.engine[name]) for name in ("backend", "model", "precision") if about.engine.get(name))
    return {
        "description": f"What was looked at in {recording.path.name}", "version": "1.0",
        "contributor": f"gazecast {about.program}".strip(), "date_created": about.started, "engine": engine,
    }  # fmt: skip


def _watched(seen: Iterable[MaskEvent], told: Callable[[int], None]) -> Iterable[MaskEvent]:
    for sight in seen:
        told(sight.key.received_ns)
        yield sight
