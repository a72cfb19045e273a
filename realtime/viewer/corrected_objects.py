"""Lists the objects of a recording for its page: those that were fixated, with their corrections, and added ones."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from engines import Image
from realtime.correction.editor import ReviewEditor
from realtime.correction.events import CorrectionEvent, unpack_mask
from realtime.correction.review_tasks import CONFIDENT, list_tasks
from realtime.recording.timeline import Timeline
from realtime.recording.visits import VisitedObject
from realtime.types import FrameKey, Mask, State


@dataclass(frozen=True, slots=True)
class ReviewedObject:
    """Sums up an object. best_number: of the frame that shows it best. version: differs after each change of that.

    corrected: number of corrected masks, carried ones included. visited: None for an object that was added.
    anchor: the newest correction, None without one.
    """

    object: int
    seconds: float
    masks: int
    visits: int
    best_number: int
    version: int
    corrected: int
    visited: VisitedObject | None
    anchor: CorrectionEvent | None


class CorrectedObjects:
    """Joins the objects of a timeline with an editor's corrections. Any thread."""

    def __init__(self, timeline: Timeline, editor: ReviewEditor, confident: float = CONFIDENT) -> None:
        """confident: see `list_tasks`."""
        self._timeline, self._editor, self._confident = timeline, editor, confident

    def list_all(self) -> list[ReviewedObject]:
        """List the fixated objects in the order of their first visits, then the added ones."""
        anchors = {event.object: event for event in self._editor.state.corrections}
        keys = self._list_keys()
        visited = {one.object: one for one in self._timeline.objects}
        numbers = [*visited, *sorted(anchors.keys() - visited.keys())]
        return [self._describe(number, visited.get(number), anchors.get(number), keys) for number in numbers]

    def find(self, object_id: int) -> ReviewedObject | None:
        """Find an object; None where it is not in the recording."""
        return next((one for one in self.list_all() if one.object == object_id), None)

    def describe_corrections(self) -> dict[str, Any]:
        """Return, for a page: `corrected` [begin ms, end ms, object], `anchors` [ms, object], `tasks`."""
        timeline, state = self._timeline, self._editor.state
        corrected = [
            [round(timeline.since_ns(first) / 1e6), round(timeline.since_ns(last) / 1e6), object_id]
            for object_id, keys in self._list_keys().items()
            for first, last in _join_runs(self._find_numbers(keys))
        ]
        anchors = {
            (number, event.object)
            for event in state.corrections
            if (number := timeline.find_number(event.frame)) is not None
        }
        tasks = list_tasks(timeline, self._editor.labels, state, self._confident) if timeline.is_done else []
        return {
            "corrected": corrected,
            "anchors": sorted([round(timeline.since_ns(number) / 1e6), object_id] for number, object_id in anchors),
            "tasks": [[task.kind, task.number, task.object, round(task.confidence, 3)] for task in tasks],
        }

    def read_best_view(self, shown: ReviewedObject) -> tuple[Image, Mask | None, State]:
        """Read the picture, mask and state that show an object best; raises `RecordingError`."""
        if shown.anchor is not None:
            image = self._timeline.read_moment(shown.best_number).frame.decode().image
            return image, unpack_mask(shown.anchor.mask, shown.anchor.size), "locked"
        assert shown.visited is not None
        frame, message = self._timeline.read_best_view(shown.visited)
        return frame.image, message.mask, message.state

    def _describe(
        self, object_id: int, visited: VisitedObject | None, anchor: CorrectionEvent | None,
        keys: dict[int, list[FrameKey]],
    ) -> ReviewedObject:  # fmt: skip
        corrected, timeline = keys.get(object_id, []), self._timeline
        number = timeline.find_number(anchor.frame) if anchor is not None else None
        if visited is not None:
            version = visited.best.mask_log_ns % 10**9
            if number is None:
                number, anchor = timeline.find_frame_at_log(visited.best.frame_log_ns), None
            seconds, masks, visits = visited.seconds, visited.masks, visited.visits
        else:
            runs = _join_runs(self._find_numbers(corrected))
            seconds = sum((timeline.since_ns(last) - timeline.since_ns(first)) / 1e9 for first, last in runs)
            version, masks, visits = 0, len(corrected), len(runs)
        version += anchor.n if anchor is not None else 0
        return ReviewedObject(object_id, seconds, masks, visits, number or 0, version, len(corrected), visited, anchor)

    def _list_keys(self) -> dict[int, list[FrameKey]]:
        found: dict[int, list[FrameKey]] = {}
        for key, masks in list(self._editor.state.masks.items()):
            for object_id in masks:
                found.setdefault(object_id, []).append(key)
        return found

    def _find_numbers(self, keys: Iterable[FrameKey]) -> list[int]:
        numbers = (self._timeline.find_number(key) for key in keys)
        return sorted(number for number in numbers if number is not None)


def _join_runs(numbers: Iterable[int]) -> list[tuple[int, int]]:
    """Join ascending numbers to runs of consecutive ones: (first, last)."""
    runs: list[tuple[int, int]] = []
    for number in numbers:
        if runs and number <= runs[-1][1] + 1:
            runs[-1] = runs[-1][0], number
        else:
            runs.append((number, number))
    return runs
