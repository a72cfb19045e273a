"""`DwellStateMachine`: object identity and the states that are published, one decision a frame.

    state     means                                  goes to
    -------   ------------------------------------   -----------------------------------------------------------------
    lost      nothing on show, no mask               preview: eyes rest `preview_s` on something
    preview   eyes rest on it                        locked: `lock_s` of rest; held: eyes off it, blink, saccade
    locked    rested on for long                     held: the same
    held      eyes off it, mask carried on; or kept  preview or locked, as before: eyes are back on it
                                                     preview of another: eyes rest `switch_s` on that one
                                                     lost: `lost_s` without eyes on it, or the picture's chain broke

"On it" is a fresh decode that agrees with the mask on show, or, while there is none, a look (or a saccade in flight)
within the error radius of that mask. A decode that disagrees replaces the mask after `switch_s`: as the same thing
seen otherwise (a part, a whole) when the eyes did not leave, else as another thing, with the id it had if it is
remembered, and its dwell if it was left for less than `lost_s`. The time counts from when it was first seen otherwise,
and where the eyes are clear of the mask from when they left it. If the eyes did not leave but the mask was carried away
from under them, it is replaced at once: that is motion's error, and no hysteresis is due to it. In `lost` the id is
that of the thing that was lost (0 at first), so that a reader knows what is gone; a thing found again by its place gets
its id back. What is kept on purpose (`DwellInput.keep`) is `held` whatever the eyes do, until it is lost or let go.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal

import numpy as np

from realtime.tracking.dwell.mask_points import Mapper, MaskPoints, compute_iou, is_near
from realtime.tracking.dwell.object_memory import ObjectMemory, TrackedObject
from realtime.tracking.dwell.observation import DwellDecision, DwellInput
from realtime.tracking.dwell.settings import DwellSettings
from realtime.tracking.gaze.estimate import GazeEstimate
from realtime.types import Mask, State

WHOLE = 2
"""Granularities run from 0, a part, to 2, the whole, as SAM orders its masks 1 to 3."""


@dataclass(slots=True, eq=False)
class _CompetingObject:
    """What the eyes rest on instead, and since when."""

    trace: MaskPoints
    since_ns: int


class DwellStateMachine:
    """Call `move` when the picture moved and `update` for each frame; one thread."""

    def __init__(self, settings: DwellSettings | None = None, *, last_id: int = 0) -> None:
        """Begin with nothing on show; ids are counted on from `last_id`."""
        self._settings = settings or DwellSettings()
        self._counts: Counter[str] = Counter()
        self._thing: TrackedObject | None = None
        self._rival: _CompetingObject | None = None
        self._memory = ObjectMemory(self._settings, last_id)
        self._shown_id = 0
        self._now_ns: int | None = None
        self._was_on = False
        self._onset_ns: int | None = None
        self._step_ns: int | None = None
        self._at_px = (math.nan, math.nan)

    @property
    def last_id(self) -> int:
        """The newest id given to a thing."""
        return self._memory.last_id

    @property
    def shown_id(self) -> int:
        """That of the thing that is, or was last, on show; 0 at first."""
        return self._shown_id

    @property
    def counts(self) -> Mapping[str, int]:
        """Events so far: objects, switches, recalls, refinements, losts, breaks, steps, wants, clears; read only."""
        return MappingProxyType(self._counts)

    def move(self, mapping: Mapper) -> None:
        """Carry what is remembered to the newest frame's pixels; `mapping` takes (N, 2) float64 px, NaN: not known."""
        if self._rival is not None:
            trace = self._rival.trace.map(mapping)
            self._rival = None if trace is None else replace(self._rival, trace=trace)
        self._memory.move(mapping)
        if self._thing is not None:
            self._thing.trace = self._thing.trace.map(mapping) or self._thing.trace
        if math.isfinite(self._at_px[0]):
            x, y = np.asarray(mapping(np.array([self._at_px], np.float64)))[0]
            self._at_px = float(x), float(y)

    def set_level(self, level: int) -> None:
        """Have the thing on show at this granularity from now on."""
        if self._thing is not None:
            self._thing.level, self._thing.is_level_fixed = level, True
            self._counts["wants"] += 1

    def clear(self) -> None:
        """Lay down what is on show; its id is remembered, its dwell is not."""
        if self._thing is not None:
            self._thing.dwell_ns = 0
            self._counts["clears"] += 1
        self._rival = None
        self._lay_down()

    def add_objects(self, traces: Sequence[MaskPoints], frame_size: tuple[int, int], now_ns: int) -> list[int]:
        """Ids of things that others found in the newest frame; eyes that come to one will find it under its id."""
        return self._memory.add_objects(traces, self._thing, frame_size, now_ns)

    def update(self, seen: DwellInput) -> DwellDecision:
        """Decide what this frame shows."""
        elapsed_ns = max(seen.now_ns - self._now_ns, 0) if self._now_ns is not None else 0
        self._now_ns = seen.now_ns
        self._memory.forget(seen.now_ns, broken=seen.is_broken)
        if seen.carried is not None and not seen.carried.any():
            seen = replace(seen, carried=None)
        decoded = seen.decoded if seen.gaze is not None and seen.gaze.is_steady else None
        fresh = MaskPoints.from_mask(decoded, seen.frame_size) if decoded is not None else None
        if seen.is_broken and self._thing is not None:
            self._counts["breaks"] += 1
            self._rival = None
            self._lay_down()
        thing = self._thing
        if thing is None:
            if seen.gaze is None or fresh is None or not self._ripe(seen, seen.gaze, fresh, self._settings.preview_s):
                return self._nothing()
            return self._take(seen, seen.gaze, fresh)
        if seen.is_held:
            return self._keep(seen, thing)
        if self._on(seen, thing, fresh):
            return self._rest(seen, thing, fresh, elapsed_ns)
        self._was_on = False
        if seen.gaze is not None and fresh is not None:
            clear, stayed = self._clear(seen, seen.gaze), self._stayed(seen.gaze)
            ripe = self._ripe(seen, seen.gaze, fresh, self._settings.switch_s, clear)
            if stayed and (ripe or clear):
                self._counts["refinements"] += 1
                return self._rest(seen, thing, fresh, elapsed_ns, changed=True)
            if ripe:
                self._counts["switches"] += 1
                self._lay_down()
                return self._take(seen, seen.gaze, fresh)
        if seen.carried is None or seen.now_ns - thing.seen_ns >= self._settings.lost_s * 1e9:
            return self._lose()
        self._see(thing, seen.carried, seen.frame_size)
        return self._held("carried", seen.carried, thing)

    def _keep(self, seen: DwellInput, thing: TrackedObject) -> DwellDecision:
        """The thing on show stays there: as it was decoded anew, or else carried on."""
        self._was_on, self._rival = False, None
        mask = seen.carried if seen.decoded is None else seen.decoded
        if mask is None:
            return self._lose()
        thing.seen_ns = seen.now_ns
        self._see(thing, mask, seen.frame_size)
        return self._held("carried" if seen.decoded is None else "decoded", mask, thing)

    def _lose(self) -> DwellDecision:
        self._counts["losts"] += 1
        self._rival = None
        self._lay_down()
        return self._nothing()

    @staticmethod
    def _held(source: Literal["decoded", "carried"], mask: Mask, thing: TrackedObject) -> DwellDecision:
        return DwellDecision(source, mask, thing.id, "held", thing.dwell_ns * 1e-9, thing.level, False)

    def _on(self, seen: DwellInput, thing: TrackedObject, fresh: MaskPoints | None) -> bool:
        """Whether the eyes rest on the thing on show."""
        look = seen.gaze
        if look is None or look.kind in ("blink", "none"):
            return False
        if fresh is None or seen.decoded is None:
            return seen.carried is not None and is_near(seen.carried, seen.frame_size, look.point_px, look.radius_px)
        if thing.level is not None and seen.level == thing.level and self._stayed(look):
            return True
        if seen.carried is None:
            return thing.trace.compare_to(seen.decoded, seen.frame_size).iou >= self._settings.same_iou
        iou = compute_iou(seen.decoded, seen.carried) if seen.iou is None else seen.iou
        return iou >= self._settings.same_iou

    def _stayed(self, look: GazeEstimate) -> bool:
        """Whether the eyes are where they last rested on the thing: no saccade, or none worth the name."""
        return look.onset_ns == self._onset_ns or math.dist(look.point_px, self._at_px) <= look.radius_px

    @staticmethod
    def _clear(seen: DwellInput, look: GazeEstimate) -> bool:
        """Whether the eyes are certainly not on the mask on show."""
        return seen.carried is None or not is_near(seen.carried, seen.frame_size, look.point_px, look.radius_px)

    def _ripe(
        self, seen: DwellInput, look: GazeEstimate, fresh: MaskPoints, after_s: float, clear: bool = False
    ) -> bool:
        """Whether the eyes have rested on this other thing for long enough."""
        since_ns = look.onset_ns if self._thing is None else max(look.onset_ns, self._thing.seen_ns)
        assert seen.decoded is not None
        rival, same_iou = self._rival, self._settings.same_iou
        if rival is not None and rival.trace.compare_to(seen.decoded, seen.frame_size).iou >= same_iou:
            since_ns = rival.since_ns
        if clear and self._thing is not None:
            since_ns = min(since_ns, self._thing.seen_ns)
        self._rival = _CompetingObject(fresh, since_ns)
        return seen.now_ns - since_ns >= after_s * 1e9

    def _rest(
        self, seen: DwellInput, thing: TrackedObject, fresh: MaskPoints | None, elapsed_ns: int, changed: bool = False
    ) -> DwellDecision:
        """The eyes are on the thing: count it, and show the fresh mask where there is one."""
        assert seen.gaze is not None
        if self._was_on:
            thing.dwell_ns += elapsed_ns
        self._settle(seen, thing, seen.gaze)
        self._step(seen, thing, seen.gaze)
        state: State = "locked" if thing.dwell_ns >= self._settings.lock_s * 1e9 else "preview"
        mask = seen.carried if fresh is None else seen.decoded
        if fresh is not None:
            thing.trace = fresh
        elif mask is not None:
            self._see(thing, mask, seen.frame_size)
        source: Literal["decoded", "carried"] = "carried" if fresh is None else "decoded"
        return DwellDecision(source, mask, thing.id, state, thing.dwell_ns * 1e-9, thing.level, changed)

    def _take(self, seen: DwellInput, look: GazeEstimate, fresh: MaskPoints) -> DwellDecision:
        """Another thing comes on show: one that is remembered, or a new one."""
        since_ns = self._rival.since_ns if self._rival is not None else look.onset_ns
        dwell_ns = max(
            seen.now_ns - max(since_ns, since_ns if self._memory.broken_ns is None else self._memory.broken_ns), 0
        )
        assert seen.decoded is not None
        thing = self._memory.recall(seen.decoded, seen.frame_size)
        if thing is None:
            self._counts["objects"] += 1
            thing = self._memory.new(fresh, seen.now_ns)
        else:
            self._counts["recalls"] += 1
            if seen.now_ns - thing.seen_ns < self._settings.lost_s * 1e9:
                dwell_ns += thing.dwell_ns
        self._thing, self._shown_id, thing.dwell_ns = thing, thing.id, dwell_ns
        return self._rest(seen, thing, fresh, 0, changed=True)

    def _settle(self, seen: DwellInput, thing: TrackedObject, look: GazeEstimate) -> None:
        """Note where and when the eyes rested on the thing."""
        self._was_on, self._rival, thing.seen_ns = True, None, seen.now_ns
        if look.is_steady:
            self._onset_ns, self._at_px = look.onset_ns, look.point_px

    def _step(self, seen: DwellInput, thing: TrackedObject, look: GazeEstimate) -> None:
        """A fixation held on purpose asks for the next granularity, up to the whole and down again."""
        if look.kind != "fixation":  # eyes that follow something are not held on purpose
            self._step_ns = seen.now_ns
        self._step_ns = look.onset_ns if self._step_ns is None else max(self._step_ns, look.onset_ns)
        if not self._settings.steps or thing.is_level_fixed or thing.dwell_ns < self._settings.lock_s * 1e9:
            return
        if seen.now_ns - self._step_ns < self._settings.step_s * 1e9:
            return
        level = thing.level if thing.level is not None else seen.level or 0
        thing.is_rising = level < WHOLE if level in (0, WHOLE) else thing.is_rising
        thing.level = level + (1 if thing.is_rising else -1)
        self._step_ns = seen.now_ns
        self._counts["steps"] += 1

    def _see(self, thing: TrackedObject, mask: Mask, frame_size: tuple[int, int]) -> None:
        """Keep the trace on what is shown."""
        thing.trace = MaskPoints.from_mask(mask, frame_size) or thing.trace

    def _lay_down(self) -> None:
        """Nothing is on show any more; what was is remembered."""
        if self._thing is not None:
            self._memory.keep(self._thing)
        self._thing, self._was_on = None, False

    def _nothing(self) -> DwellDecision:
        return DwellDecision("nothing", None, self._shown_id, "lost", 0.0, None, False)
