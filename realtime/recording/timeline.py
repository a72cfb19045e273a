"""A recording to look at: which frames and masks it has, what was on show when, and any moment of it at once.

`read` goes through the file once; what it has come to can be looked at meanwhile, from other threads.
"""

from __future__ import annotations

import contextlib
import threading
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable, Iterator
from copy import copy
from dataclasses import dataclass
from pathlib import Path

from realtime.comms.messages import MaskMessage
from realtime.errors import RecordingError
from realtime.recording.format import FRAME, GAZE, RecordedFrame, read_frame
from realtime.recording.labels import LabelFile
from realtime.recording.mask_events import MaskEvent, RecordingEvent, read_events
from realtime.recording.reader import RecordingEntry, RecordingReader
from realtime.recording.visits import Visit, VisitedObject, detect_visits, group_by_object, read_best_view
from realtime.types import Frame, State

FRAMES_PER_REPORT = 256
"""Frames between two reports of `read`."""
BLOCK_FRAMES = 16
MAX_BLOCKS = 4
"""Frames are fetched in blocks of half a second, as the file holds them, and some blocks are kept."""
MAX_CARRIED_NS = 150_000_000
"""For so long a frame that was passed over shows the mask of one before it."""
MAX_HOLD_NS = 500_000_000
"""For so long at most something is said to be on show after its last mask."""


@dataclass(frozen=True, slots=True)
class TimelineSpan:
    """A stretch in which one object was on show in one state; times as those of a `TimelineMoment`."""

    start_ns: int
    end_ns: int
    object: int
    state: State


@dataclass(frozen=True, slots=True, eq=False)
class TimelineMoment:
    """A frame, still packed, and what was on show. at_ns, until_ns: when it came, and when the next one did.

    Times are since the recording began. Where frames had a time of their own, as those of a clip that was run as fast
    as it went, it is theirs, since the first frame.

    message: the newest mask that there was by then, None without one; own: whether it is that of this very frame.
    """

    number: int
    at_ns: int
    until_ns: int
    frame: RecordedFrame
    message: MaskMessage | None
    own: bool


class Timeline:
    """One thread may `read` while others ask; one call of `moment` at a time."""

    def __init__(self, path: Path) -> None:
        """Raises `RecordingError` where there is no recording, or no frame in it."""
        self.recording = RecordingReader(path)
        self._fetched, self._pictured = copy(self.recording), copy(self.recording)  # each counts its own pass's damage
        self.start_ns, self.end_ns = self.recording.span_ns
        self.problem = ""
        self.is_done = False
        self._lock = threading.Lock()
        self._frames: list[int] = []  # where each lies, wall clock ns
        self._times: list[int] = []  # when it is shown, ns since the beginning
        self._masks: list[int] = []  # where its mask lies, wall clock ns; 0 for none
        self._spans: list[TimelineSpan] = []
        self._last_ns = 0
        self._first_ns: int | None = None
        self._objects: list[VisitedObject] = []
        self._blocks: OrderedDict[int, _FrameBlock] = OrderedDict()
        if next(self.recording.read_frames(), None) is None:
            raise RecordingError(f"{path} holds no frames to look at")

    def read(self, go_on: Callable[[float], bool] = lambda share: True) -> None:
        """Go through the file; `go_on` is told now and then what share of it was read, and ends it by saying no.

        What cannot be read ends it too, and `trouble` says so; what was read until then can be looked at.
        """
        found: list[Visit] = []
        try:
            for look in detect_visits(self._note_events(found, go_on), self.recording.about, LabelFile()):
                found.append(look)
        except (RecordingError, OSError) as error:
            self.problem = str(error)
        finally:
            self._objects = group_by_object(found)
            self.is_done = True
        go_on(1.0)

    def __len__(self) -> int:
        """How many frames were found by now."""
        return len(self._masks)

    @property
    def damaged(self) -> int:
        """Pieces of half a second that could not be read, by now."""
        return self.recording.damaged

    @property
    def length_ns(self) -> int:
        """From the beginning to the end, ns; where frames have a time of their own, to the end of what was read."""
        if not self.recording.about.frame_time:
            return self.end_ns - self.start_ns
        at = self._times[: len(self)]
        return at[-1] + (at[-1] - at[-2] if len(at) > 1 else 0) if at else 0

    @property
    def read_ns(self) -> int:
        """Until when it was read."""
        return self.length_ns if self.is_done else self._times[len(self) - 1] if len(self) else 0

    def list_spans(self) -> list[TimelineSpan]:
        """What was on show when, in order."""
        with self._lock:
            return list(self._spans)

    def list_objects(self) -> list[VisitedObject]:
        """The objects, in the order in which they were first looked at; without labels."""
        return self._objects

    def find_frame(self, since_ns: int) -> int:
        """The number of the newest frame by a time since the beginning; the first one before it."""
        return max(0, bisect_right(self._times, since_ns, hi=len(self)) - 1)

    def find_frame_at_log(self, frame_log_ns: int) -> int:
        """The number of the frame that lies there, or of the one before."""
        return max(0, bisect_right(self._frames, frame_log_ns, hi=len(self)) - 1)

    def read_moment(self, number: int) -> TimelineMoment:
        """A frame with its mask; raises `RecordingError` where it cannot be read, IndexError where there is none."""
        if not 0 <= number < len(self):
            raise IndexError(f"frame {number} of {len(self)}")
        block = self._block(number // BLOCK_FRAMES)
        entry = block.frames.get(self._frames[number])
        if entry is None:
            raise RecordingError(f"frame {number} of {self.recording.path} cannot be read")
        last = number + 1 >= len(self)
        until_ns = self.length_ns if last else self._times[number + 1]
        message, own = self._mask(number)
        return TimelineMoment(number, self._times[number], until_ns, read_frame(entry.data), message, own)

    def best(self, thing: VisitedObject) -> tuple[Frame, MaskMessage]:
        """The picture and mask that show an object best; one call at a time. Raises `RecordingError`."""
        return read_best_view(self._pictured, thing.best)

    def _mask(self, number: int) -> tuple[MaskMessage | None, bool]:
        """That of the frame, or the newest one before it that is not too old; and whether it is its own."""
        at_ns, before = self._times[number], number
        while before >= 0 and at_ns - self._times[before] <= MAX_CARRIED_NS:
            entry = self._block(before // BLOCK_FRAMES).masks.get(self._masks[before])
            if entry is not None:
                with contextlib.suppress(RecordingError):
                    return self._fetched.read_mask(entry), before == number
            before -= 1
        return None, False

    def _block(self, index: int) -> _FrameBlock:
        block, first = self._blocks.pop(index, None), index * BLOCK_FRAMES
        numbers = range(first, min(first + BLOCK_FRAMES, len(self)))
        lie = {at for number in numbers for at in (self._frames[number], self._masks[number]) if at}
        if block is None or block.log_times != lie:  # while the file is read, a block still grows
            block = _FrameBlock(lie, {}, {})
            for entry in self._fetched.read_entries((FRAME, "mask"), from_ns=min(lie), to_ns=max(lie)):
                if entry.log_ns in lie:
                    (block.frames if entry.topic == FRAME else block.masks)[entry.log_ns] = entry
        self._blocks[index] = block
        while len(self._blocks) > MAX_BLOCKS:
            self._blocks.popitem(last=False)
        return block

    # -- the reading thread -------------------------------------------------------------------------------------------

    def _note_events(self, found: list[Visit], go_on: Callable[[float], bool]) -> Iterator[RecordingEvent]:
        for event in read_events(self.recording, (FRAME, GAZE, "mask")):
            if isinstance(event, RecordedFrame):
                self._note_frame(event)
                if len(self) % FRAMES_PER_REPORT == 0:
                    self._objects = group_by_object(found)
                    whole_ns = max(1, self.end_ns - self.start_ns)
                    if not go_on(min(0.999, (self._frames[-1] - self.start_ns) / whole_ns)):
                        return
            elif isinstance(event, MaskEvent):
                self._note_mask(event)
            yield event

    def _note_frame(self, frame: RecordedFrame) -> None:
        about = self.recording.about
        log_ns = frame.received_ns + about.wall_ns
        if about.frame_time:
            self._first_ns = frame.captured_ns if self._first_ns is None else self._first_ns
            at_ns = frame.captured_ns - self._first_ns
        else:
            at_ns = log_ns - self.start_ns
        if self._frames and (log_ns <= self._frames[-1] or at_ns <= self._times[-1]):
            return  # of a file that is not in order; there is no way to seek to it
        self._frames.append(log_ns)
        self._times.append(at_ns)
        self._masks.append(0)

    def _note_mask(self, sight: MaskEvent) -> None:
        frame_ns = sight.key.received_ns + self.recording.about.wall_ns
        number = bisect_right(self._frames, frame_ns) - 1
        if number < 0 or self._frames[number] != frame_ns:
            return
        self._masks[number] = sight.entry.log_ns
        since_ns = self._times[number]
        with self._lock:
            last = self._spans[-1] if self._spans else None
            if last is not None:
                until_ns = max(last.start_ns, min(since_ns, self._last_ns + MAX_HOLD_NS))
                goes_on = until_ns == since_ns and (last.object, last.state) == (sight.object, sight.state)
                self._spans[-1] = TimelineSpan(last.start_ns, until_ns, last.object, last.state)
                if goes_on:
                    self._last_ns = since_ns
                    return
            self._spans.append(TimelineSpan(since_ns, since_ns, sight.object, sight.state))
            self._last_ns = since_ns


@dataclass(frozen=True, slots=True, eq=False)
class _FrameBlock:
    """Frames and masks by their times in the file, which are in `lie`; what could not be read is missing."""

    log_times: set[int]
    frames: dict[int, RecordingEntry]
    masks: dict[int, RecordingEntry]
