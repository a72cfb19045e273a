"""Finds what a review should go to first: visits whose masks are doubtful, and gaze without a mask."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Literal

from realtime.correction.events import AcceptEvent, CorrectionEvent
from realtime.correction.state import CorrectionState
from realtime.recording.labels import LabelFile
from realtime.recording.timeline import Timeline

CONFIDENT = 0.8
"""Mean confidence from which on the masks of a visit count as right until they are changed. It is a probability, see
`MaskMessage`: of visits at this value one in five shows something else."""
MIN_MISSING_NS = 500_000_000
"""Shortest time with gaze and without a mask that counts as missing."""


@dataclass(frozen=True, slots=True)
class ReviewTask:
    """A place that needs an answer.

    number: of the frame to begin with. object: 0 where a mask is missing. confidence: mean of the visit, 0..1.
    """

    kind: Literal["doubtful", "missing"]
    number: int
    object: int
    confidence: float


def list_tasks(
    timeline: Timeline, labels: LabelFile, state: CorrectionState, confident: float = CONFIDENT
) -> list[ReviewTask]:
    """List the visits of kept objects that are doubtful and not answered, the least confident first, then the gaps.

    confident: mean confidence of a visit from which on it is not in doubt, 0..1; above 1 all are.
    """
    answered = _list_answered(timeline, state)
    tasks = []
    for visit in timeline.visits:
        number = timeline.find_number(visit.best.key)
        if visit.mean_confidence >= confident or not labels.get_label(visit.object).keep or number is None:
            continue
        frames = timeline.find_visit(number, visit.object)
        if not any(first in frames or last in frames for first, last in answered[visit.object]):
            tasks.append(ReviewTask("doubtful", number, visit.object, visit.mean_confidence))
    tasks.sort(key=lambda task: task.confidence)
    taken = [pair for pairs in answered.values() for pair in pairs]
    for frames in timeline.list_missing(MIN_MISSING_NS):
        if not any(first in frames or last in frames for first, last in taken):
            tasks.append(ReviewTask("missing", frames[len(frames) // 2], 0, 0.0))
    return tasks


def _list_answered(timeline: Timeline, state: CorrectionState) -> defaultdict[int, list[tuple[int, int]]]:
    """List the first and last number of the frames of each answer, by object."""
    found: defaultdict[int, list[tuple[int, int]]] = defaultdict(list)
    for event in state.answers:
        if isinstance(event, CorrectionEvent):
            keys = event.frame, event.frame
        elif isinstance(event, AcceptEvent):
            keys = event.first, event.last
        else:
            continue
        first, last = map(timeline.find_number, keys)
        if first is not None and last is not None:
            found[event.object].append((first, last))
    return found
