"""Implements `gazecast import`: masks that were corrected in another program go back to a recording."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Set
from pathlib import Path
from typing import Any

from realtime.commands.import_masks.label_studio_files import read_label_studio
from realtime.commands.import_masks.matching import AnnotationMatcher, FrameMasks, ImportReport, UnmatchedAnnotation
from realtime.commands.import_masks.yolo_files import read_yolo
from realtime.correction.coco_file import DatasetFields, find_frame_number, read_json, to_dataset
from realtime.correction.corrected_masks import CorrectedMasks
from realtime.correction.editor import ReviewEditor
from realtime.correction.events import CorrectionEvent
from realtime.errors import AnnotationError
from realtime.recording.labels import ObjectLabel
from realtime.recording.mask_events import MaskEvent, pair_frames
from realtime.recording.reader import RecordingReader


def import_masks(file: Path, recording: RecordingReader, *, should_add: bool = False) -> ImportReport:
    """Add the changed masks of a data set to a recording's corrections, as one answer that can be undone.

    file: of COCO, `data.yaml` of YOLO, or the JSON of Label Studio.

    should_add: make new objects of masks that belong to none. Raises `AnnotationError`, also where nothing of the file
    fits the recording, and `RecordingError`.
    """
    editor, report = ReviewEditor(recording.path), ImportReport()
    dataset = _read_file(file, recording)
    began, started = recording.about.started, dataset.recording_started
    if began and started and began != started:
        raise AnnotationError(
            f"{file} was exported from a recording that began at {started}, and {recording.path.name} began at "
            f"{began}: name the recording that it is of; where both show the same frames, remove `info` from the file"
        )
    images = {image.id: image for image in dataset.images}
    if len(images) < len(dataset.images):
        raise AnnotationError(f"{file}: two pictures have the same id")
    frames, last_object, recognized = _read_frames(
        recording, editor, {find_frame_number(image) for image in images.values()}
    )
    counts = Counter(each.image_id for each in dataset.annotations)
    matcher = AnnotationMatcher(frames, last_object, counts, report, should_add=should_add)
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
        except UnmatchedAnnotation as unmatched:
            report.leave_out(unmatched.reason, unmatched.example)
            continue
        named[event.object] = names.get(annotation.category_id, "")
        if event.mask:
            events.append(event)
    if not named:
        raise AnnotationError(
            f"nothing of {file} fits {recording.path.name}: {'; '.join(report.describe_problems()) or 'it is empty'}. "
            f"Expected a data set that gazecast export made of this recording, with its names, sizes and ids"
        )
    if events:
        editor.correct(events)
    report.named = _save_names(editor, named, recognized)
    return report


def _read_file(file: Path, recording: RecordingReader) -> DatasetFields:
    """Read a data set by the ending of its file, and by what its JSON is: Label Studio's is a list of tasks."""
    if file.suffix in (".yaml", ".yml"):
        return _read_yolo(file, recording)
    found = read_json(file)
    return read_label_studio(found, file.name) if isinstance(found, list) and found else to_dataset(found, file)


def _read_yolo(file: Path, recording: RecordingReader) -> DatasetFields:
    def find_sizes(stems: Set[str]) -> dict[str, tuple[int, int]]:
        frames = ((f"{number:06d}", found) for number, found in enumerate(pair_frames(recording), 1))
        return {stem: _find_size(*found) for stem, found in frames if stem in stems}

    return read_yolo(file, find_sizes)


def _save_names(editor: ReviewEditor, named: Mapping[int, str], recognized: Mapping[int, Set[str]]) -> int:
    """Name the objects by their categories; `object` is that of objects without a name.

    recognized: what the run took objects for, by which exports name those that nobody named. That is no answer.
    """
    count, labels = 0, editor.labels
    for object_id, name in named.items():
        label = labels.get_label(object_id)
        if name in ("", "object", label.text) or (not label.text and name in recognized.get(object_id, ())):
            continue
        try:
            count += editor.set_label(object_id, ObjectLabel(" ".join(name.split()), label.keep))
        except ValueError as error:
            raise AnnotationError(str(error)) from None
    return count


def _read_frames(
    recording: RecordingReader, editor: ReviewEditor, numbers: set[int]
) -> tuple[dict[int, FrameMasks], int, dict[int, set[str]]]:
    """Read the masks in force in frames of these numbers, the highest number of an object, and recognized names."""
    corrections, frames, names = CorrectedMasks(editor.state), {}, dict[int, set[str]]()
    last = max((event.object for event in editor.state.events if isinstance(event, CorrectionEvent)), default=0)
    for number, (packed, event) in enumerate(pair_frames(recording), 1):
        last = max(last, event.object if event is not None else 0)
        if event is not None and event.recognized:
            names.setdefault(event.object, set()).add(event.recognized)
        if number in numbers:
            masks = {each.object: each.unpack() for each in editor.state.find_masks(packed.key).values()}
            if event is not None and event.object not in masks and event.shows_object:
                recorded = corrections.read_message(recording, event).mask
                masks |= {} if recorded is None else {event.object: recorded}
            frames[number] = FrameMasks(packed.key, _find_size(packed, event), masks)
    return frames, last, names


def _find_size(packed: Any, event: MaskEvent | None) -> tuple[int, int]:
    size: tuple[int, int] = event.size if event is not None else packed.decode().size
    return size
