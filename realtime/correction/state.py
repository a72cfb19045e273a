"""Adds up the events of a correction file: which masks replace the recorded ones, and what can be undone. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from realtime.correction.events import (
    AcceptEvent,
    CarryEvent,
    CorrectionEvent,
    LabelEvent,
    RedoEvent,
    ReviewEvent,
    UndoEvent,
    unpack_mask,
)
from realtime.types import FrameKey, Mask

UndoableEvent = LabelEvent | CorrectionEvent | AcceptEvent
_NO_MASKS: Mapping[int, CorrectedMask] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class CorrectedMask:
    """Holds the corrected mask of an object in a frame. is_carried: moved there from the frame of event `n`."""

    object: int
    counts: str
    size: tuple[int, int]
    is_carried: bool
    n: int

    def unpack(self) -> Mask:
        """Return the (H, W) bool mask; raises `RecordingError`."""
        return unpack_mask(self.counts, self.size)


class CorrectionState:
    """The sum of a file's events; `add` takes them in their order. One thread at a time.

    masks: by frame and object. A mask corrected in its own frame precedes one carried there, then the newest precedes.
    """

    def __init__(self, events: Iterable[ReviewEvent] = ()) -> None:
        self.events: list[ReviewEvent] = []
        self.masks: dict[FrameKey, dict[int, CorrectedMask]] = {}
        self._done: list[UndoableEvent] = []
        self._undone: list[UndoableEvent] = []
        self._carried: dict[int, CarryEvent] = {}
        for event in events:
            self.add(event)

    def add(self, event: ReviewEvent) -> None:
        """Add the next event."""
        self.events.append(event)
        if isinstance(event, LabelEvent | CorrectionEvent | AcceptEvent):
            self._done.append(event)
            self._undone.clear()
            if isinstance(event, CorrectionEvent):
                self.masks.setdefault(event.frame, {})[event.object] = _to_mask(event)
        elif isinstance(event, CarryEvent):
            self._carried[event.of] = event
            self._rebuild()
        elif isinstance(event, UndoEvent | RedoEvent):
            source, target = (self._done, self._undone) if isinstance(event, UndoEvent) else (self._undone, self._done)
            target += [each for each in source if _group(each) == event.of]
            source[:] = [each for each in source if _group(each) != event.of]
            self._rebuild()

    @property
    def version(self) -> int:
        """The number of the last event, which differs after every change; 0 without any."""
        return self.events[-1].n if self.events else 0

    @property
    def answers(self) -> list[UndoableEvent]:
        """The events in force, oldest first."""
        return list(self._done)

    @property
    def corrections(self) -> list[CorrectionEvent]:
        """The corrections in force, oldest first."""
        return [event for event in self._done if isinstance(event, CorrectionEvent)]

    @property
    def undo_count(self) -> int:
        """The number of answers that can be undone."""
        return len({_group(event) for event in self._done})

    @property
    def redo_count(self) -> int:
        """The number of answers that can be redone."""
        return len({_group(event) for event in self._undone})

    def find_undo(self) -> tuple[int, list[UndoableEvent]]:
        """Return the number and the events of the answer that an undo takes back; 0 without one."""
        return _last_group(self._done)

    def find_redo(self) -> tuple[int, list[UndoableEvent]]:
        """Return the number and the events of the answer that a redo brings back; 0 without one."""
        return _last_group(self._undone)

    def find_masks(self, key: FrameKey) -> Mapping[int, CorrectedMask]:
        """Return the corrected masks of a frame by object."""
        return self.masks.get(key, _NO_MASKS)

    def list_anchors(self, object_id: int) -> dict[FrameKey, CorrectionEvent]:
        """Return the newest correction in force of each frame in which an object was corrected."""
        return {event.frame: event for event in self.corrections if event.object == object_id}

    def list_uncarried(self) -> list[CorrectionEvent]:
        """Return the corrections that were not carried to other frames yet; imported ones never are. Newest first."""
        newest = {(event.object, event.frame): event for event in self.corrections}
        waiting = [each for each in newest.values() if each.n not in self._carried and each.means != "import"]
        return sorted(waiting, key=lambda event: -event.n)

    def _rebuild(self) -> None:
        masks: dict[FrameKey, dict[int, CorrectedMask]] = {}
        corrections = self.corrections
        for event in corrections:
            carried = self._carried.get(event.n)
            for each in carried.masks if carried is not None else ():
                mask = CorrectedMask(event.object, each.mask, event.size, True, event.n)
                masks.setdefault(each.frame, {})[event.object] = mask
        for event in corrections:
            masks.setdefault(event.frame, {})[event.object] = _to_mask(event)
        self.masks = masks  # at once, as other threads read it


def _to_mask(event: CorrectionEvent) -> CorrectedMask:
    return CorrectedMask(event.object, event.mask, event.size, False, event.n)


def _group(event: UndoableEvent) -> int:
    return (event.group if isinstance(event, CorrectionEvent) else 0) or event.n


def _last_group(events: list[UndoableEvent]) -> tuple[int, list[UndoableEvent]]:
    number = _group(events[-1]) if events else 0
    return number, [each for each in events if _group(each) == number]
