"""Indexes a recording for review: its frames and masks, the object shown at any time, and fast access to any moment.

`read` scans the file once; other threads can use the part that is indexed already.
"""

from __future__ import annotations

import contextlib
import threading
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable, Iterator
from copy import copy
from dataclasses import dataclass, replace
from pathlib import Path

from realtime.comms.messages import MaskMessage
from realtime.errors import RecordingError
from realtime.recording.format import FRAME, GAZE, RecordedFrame, read_frame
from realtime.recording.labels import LabelFile
from realtime.recording.mask_events import MaskEvent, RecordingEvent, read_events
from realtime.recording.reader import RecordingEntry, RecordingReader
from realtime.recording.visits import (
    Visit,
    VisitedObject,
    detect_visits,
    group_by_object,
    read_best_view,
    read_min_confidence,
)
from realtime.types import Frame, FrameKey, GazeSample, State

FRAMES_PER_REPORT = 256
"""Frames between two progress reports of `read`."""
BLOCK_FRAMES = 16
MAX_BLOCKS = 4
"""Frames are fetched in blocks of half a second, like the chunks of the file, and some blocks are cached."""
MAX_CARRIED_NS = 150_000_000
"""Longest time for which a skipped frame shows the mask of an earlier one."""
MAX_HOLD_NS = 500_000_000
"""Longest time for which an object counts as shown after its last mask."""


@dataclass(frozen=True, slots=True)
class TimelineSpan:
    """A period in which one object was shown in one state; times as in a `TimelineMoment`."""

    start_ns: int
    end_ns: int
    object: int
    state: State


@dataclass(frozen=True, slots=True, eq=False)
class TimelineMoment:
    """Holds a frame, still encoded, and the mask shown with it. at_ns, until_ns: arrivals of it and of the next one.

    Times are since the recording began; of a clip run at any speed, they are the clip's, since its first frame.
    message: the newest mask at that time, None without one; own: whether it is the mask of this very frame.
    """

    number: int
    at_ns: int
    until_ns: int
    frame: RecordedFrame
    message: MaskMessage | None
    own: bool


class Timeline:
    """An index of a recording. One thread may `read` while others query.

    objects: in the order in which they were first fixated, without labels. visits: to them, in order.
    confirmations: (time, object) of the wearer's, with times as in a `TimelineMoment`.
    """

    def __init__(self, path: Path, identity: Path | None = None) -> None:
        """Raises `RecordingError` without a recording, or without a frame in it. identity: as of `RecordingReader`."""
        self.recording = RecordingReader(path, identity)
        self._fetched, self._pictured = copy(self.recording), copy(self.recording)  # `damaged` is that of one pass
        self.start_ns, self.end_ns = self.recording.span_ns
        self.problem = ""
        self.is_done = False
        self._lock = threading.Lock()
        self._frames: list[int] = []  # log times, wall clock ns
        self._times: list[int] = []  # when each is shown, ns since the beginning
        self._is_gazed: list[bool] = []  # whether a confident gaze sample came since the frame before
        self._masks: list[int] = []  # log times of the frames' masks, wall clock ns; 0 for none
        self._objects: list[int] = []  # shown in each frame, 0 for none
        self._spans: list[TimelineSpan] = []
        self._last_ns = 0
        self._first_ns: int | None = None
        self.objects: list[VisitedObject] = []
        self.visits: list[Visit] = []
        self.confirmations: list[tuple[int, int]] = []
        self._last_confirmation = 0
        self._reading = threading.Lock()
        self._blocks: OrderedDict[int, tuple[set[int], dict[tuple[str, int], RecordingEntry]]] = OrderedDict()
        if next(self.recording.read_frames(), None) is None:
            raise RecordingError(f"{path} holds no frames")

    def read(self, go_on: Callable[[float], bool] = lambda share: True) -> None:
        """Index the file; `go_on` receives the share read so far, 0..1, and returns False to stop.

        An unreadable part stops it too, with the reason in `problem`; the part before it stays usable.
        """
        found: list[Visit] = []
        try:
            for visit in detect_visits(self._index_events(found, go_on), self.recording.about, LabelFile()):
                found.append(visit)
        except (RecordingError, OSError) as error:
            self.problem = str(error)
        finally:
            self.visits, self.objects = list(found), group_by_object(found)
            self.is_done = True
        go_on(1.0)

    def __len__(self) -> int:
        """Return the number of frames indexed so far."""
        return len(self._masks)

    @property
    def length_ns(self) -> int:
        """Duration of the recording, ns; of a clip that was run at any speed, of the part indexed so far."""
        if not self.recording.about.frame_time:
            return self.end_ns - self.start_ns
        times = self._times[: len(self)]
        return times[-1] + (times[-1] - times[-2] if len(times) > 1 else 0) if times else 0

    @property
    def read_ns(self) -> int:
        """Duration of the part indexed so far, ns."""
        return self.length_ns if self.is_done else self._times[len(self) - 1] if len(self) else 0

    def list_spans(self) -> list[TimelineSpan]:
        """Return the periods in which objects were shown, in order."""
        with self._lock:
            return list(self._spans)

    def find_frame(self, since_ns: int) -> int:
        """Return the number of the newest frame at a time since the beginning; 0 before the first."""
        return max(0, bisect_right(self._times, since_ns, hi=len(self)) - 1)

    def find_frame_at_log(self, frame_log_ns: int) -> int:
        """Return the number of the frame with this log time, or of the one before."""
        return max(0, bisect_right(self._frames, frame_log_ns, hi=len(self)) - 1)

    def find_number(self, key: FrameKey) -> int | None:
        """Return the number of a frame; None where it is not indexed."""
        log_ns = key.received_ns + self.recording.about.wall_ns
        number = bisect_right(self._frames, log_ns, hi=len(self)) - 1
        return number if number >= 0 and self._frames[number] == log_ns else None

    def since_ns(self, number: int) -> int:
        """Return when a frame was shown, ns since the beginning."""
        return self._times[number]

    def find_visit(self, number: int, object_id: int) -> range:
        """Return the numbers of the frames around one in which the same object is shown without a break.

        Where another object is shown, or none, those around it in which that does not change.
        """
        shown = self._objects[: len(self)]
        wanted = shown[number] or self._find_held(number, object_id)
        first = last = number
        for at in range(number, -1, -1):
            if shown[at] == wanted:
                first = at
            elif not wanted or shown[at] or self._times[first] - self._times[at] > MAX_HOLD_NS:
                break
        for at in range(number, len(shown)):
            if shown[at] == wanted:
                last = at
            elif not wanted or shown[at] or self._times[at] - self._times[last] > MAX_HOLD_NS:
                break
        return range(first, last + 1)

    def _find_held(self, number: int, object_id: int) -> int:
        """Return an object where a frame without a mask lies within its visit; else 0."""
        for at in range(number, -1, -1):
            if self._times[number] - self._times[at] > MAX_HOLD_NS or self._objects[at] not in (0, object_id):
                break
            if self._objects[at]:
                return object_id
        return 0

    def list_missing(self, min_ns: int) -> list[range]:
        """List the frames of periods of at least `min_ns` with gaze, mostly, and without an object."""
        found, first = [], 0
        shown = self._objects[: len(self)]
        for last in range(len(shown)):
            if shown[last] or last + 1 == len(shown) or shown[last + 1]:
                period = range(first, last + 1)
                is_long = self._times[last] - self._times[first] >= min_ns
                if not shown[last] and is_long and 2 * sum(self._is_gazed[first : last + 1]) >= len(period):
                    found.append(period)
                first = last + 1
        return found

    def read_moment(self, number: int) -> TimelineMoment:
        """Read a frame with its mask; raises `RecordingError` if unreadable, IndexError without such a frame."""
        if not 0 <= number < len(self):
            raise IndexError(f"frame {number} of {len(self)}")
        with self._reading:
            entry = self._read_block(number // BLOCK_FRAMES).get((FRAME, self._frames[number]))
            message, own = self._read_mask(number)
        if entry is None:
            raise RecordingError(f"frame {number} of {self.recording.path} cannot be read")
        until_ns = self.length_ns if number + 1 >= len(self) else self._times[number + 1]
        return TimelineMoment(number, self._times[number], until_ns, read_frame(entry.data), message, own)

    def read_best_view(self, visited: VisitedObject) -> tuple[Frame, MaskMessage]:
        """Read the picture and mask that show an object best; one call at a time. Raises `RecordingError`."""
        return read_best_view(self._pictured, visited.best)

    def _read_mask(self, number: int) -> tuple[MaskMessage | None, bool]:
        """Read the frame's mask, or a recent one before it; and whether it is its own."""
        for before in range(number, -1, -1):
            if self._times[number] - self._times[before] > MAX_CARRIED_NS:
                break
            entry = self._read_block(before // BLOCK_FRAMES).get(("mask", self._masks[before]))
            if entry is not None:
                with contextlib.suppress(RecordingError):
                    return self._fetched.read_mask(entry), before == number
        return None, False

    def _read_block(self, index: int) -> dict[tuple[str, int], RecordingEntry]:
        """Read a block's frames and masks by topic and log time; unreadable ones are missing."""
        block = slice(index * BLOCK_FRAMES, min((index + 1) * BLOCK_FRAMES, len(self)))
        wanted = {log_ns for log_ns in self._frames[block] + self._masks[block] if log_ns}
        log_times, entries = self._blocks.pop(index, (set[int](), dict[tuple[str, int], RecordingEntry]()))
        if log_times != wanted:  # a block grows while the file is indexed
            found = self._fetched.read_entries((FRAME, "mask"), from_ns=min(wanted), to_ns=max(wanted))
            entries = {(entry.topic, entry.log_ns): entry for entry in found if entry.log_ns in wanted}
        self._blocks[index] = wanted, entries
        while len(self._blocks) > MAX_BLOCKS:
            self._blocks.popitem(last=False)
        return entries

    def _index_events(self, found: list[Visit], go_on: Callable[[float], bool]) -> Iterator[RecordingEvent]:
        min_confidence = read_min_confidence(self.recording.about)
        for event in read_events(self.recording, (FRAME, GAZE, "mask")):
            if isinstance(event, RecordedFrame):
                self._index_frame(event)
                if len(self) % FRAMES_PER_REPORT == 0:
                    self.visits, self.objects = list(found), group_by_object(found)
                    whole_ns = max(1, self.end_ns - self.start_ns)
                    if not go_on(min(0.999, (self._frames[-1] - self.start_ns) / whole_ns)):
                        return
            elif isinstance(event, MaskEvent):
                self._index_mask(event)
            elif isinstance(event, GazeSample) and event.confidence >= min_confidence and self._is_gazed:
                self._is_gazed[-1] = True
            yield event

    def _index_frame(self, frame: RecordedFrame) -> None:
        about = self.recording.about
        log_ns = frame.received_ns + about.wall_ns
        if about.frame_time:
            self._first_ns = frame.captured_ns if self._first_ns is None else self._first_ns
            at_ns = frame.captured_ns - self._first_ns
        else:
            at_ns = log_ns - self.start_ns
        if self._frames and (log_ns <= self._frames[-1] or at_ns <= self._times[-1]):
            return  # not in order, so that it cannot be found by a binary search
        self._frames.append(log_ns)
        self._times.append(at_ns)
        self._is_gazed.append(False)
        self._objects.append(0)
        self._masks.append(0)  # last: it counts the frames

    def _index_mask(self, mask: MaskEvent) -> None:
        frame_ns = mask.key.received_ns + self.recording.about.wall_ns
        number = bisect_right(self._frames, frame_ns) - 1
        if number < 0 or self._frames[number] != frame_ns:
            return
        self._masks[number] = mask.entry.log_ns
        self._objects[number] = mask.object if mask.shows_object else 0
        since_ns = self._times[number]
        if mask.confirmed is not None and mask.confirmed.number != self._last_confirmation:
            self._last_confirmation = mask.confirmed.number
            self.confirmations.append((since_ns, mask.object))
        with self._lock:
            continues = False
            if self._spans:
                last = self._spans[-1]
                until_ns = max(last.start_ns, min(since_ns, self._last_ns + MAX_HOLD_NS))
                continues = until_ns == since_ns and (last.object, last.state) == (mask.object, mask.state)
                self._spans[-1] = replace(last, end_ns=until_ns)
            if not continues:
                self._spans.append(TimelineSpan(since_ns, since_ns, mask.object, mask.state))
            self._last_ns = since_ns
