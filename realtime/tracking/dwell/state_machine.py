"""Decides object identity and the published state by dwell, once a frame.

    state     meaning                                goes to
    -------   ------------------------------------   -----------------------------------------------------------------
    lost      no object shown, no mask               preview: fixation on an object for `preview_s`
    preview   gaze on the object                     locked: `lock_s` of fixation; held: gaze off it, blink, saccade
    locked    gaze on it for long                    held: the same
    held      gaze off it, mask carried on; or       preview or locked, as before: gaze is back on it
              held by the user                       preview of another: fixation on that one for `switch_s`
                                                     lost: `lost_s` without gaze on it, or the motion chain broke

"On it" is a fresh decode that agrees with the shown mask or, without one, a gaze estimate (also of a saccade) within
the error radius of that mask. A decode that disagrees replaces the mask after `switch_s`: as another mask of the same
object (a part, a whole) when the gaze did not leave, else as another object, with its old id if it is remembered, and
its dwell time if it was left for less than `lost_s`. The time counts from the first disagreeing decode and, where the
gaze is clear of the mask, from when it left. If the gaze did not leave but motion carried the mask away from under it,
the mask is replaced at once: that is an error of motion, and needs no hysteresis. In `lost` the id is that of the lost
object (0 at first); an object found again at its place gets its id back. With `DwellInput.is_held` the object is `held`
wherever the eyes go, until it is lost or released.
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
"""Granularity levels run from 0, a part, to 2, the whole, as SAM orders its masks 1 to 3."""


@dataclass(slots=True, eq=False)
class _CompetingObject:
    """Another object under the gaze, and since when."""

    points: MaskPoints
    since_ns: int


class DwellStateMachine:
    """Tracks the dwell on one shown object: `move` with the picture, then `update` once a frame. One thread."""

    def __init__(self, settings: DwellSettings | None = None, *, last_id: int = 0) -> None:
        """Begin without a shown object; new ids continue from `last_id`."""
        self._settings = settings or DwellSettings()
        self._counts: Counter[str] = Counter()
        self._shown: TrackedObject | None = None
        self._competitor: _CompetingObject | None = None
        self._memory = ObjectMemory(self._settings, last_id)
        self._shown_id = 0
        self._now_ns: int | None = None
        self._was_on = False
        self._onset_ns: int | None = None
        self._step_ns: int | None = None
        self._at_px = (math.nan, math.nan)

    @property
    def last_id(self) -> int:
        """The newest object id."""
        return self._memory.last_id

    @property
    def shown_id(self) -> int:
        """Id of the object shown now or last; 0 at first."""
        return self._shown_id

    @property
    def counts(self) -> Mapping[str, int]:
        """Counts of events: objects, switches, recalls, refinements, losts, breaks, steps, wants, clears; read only."""
        return MappingProxyType(self._counts)

    def move(self, mapping: Mapper) -> None:
        """Carry all objects to the newest frame's pixels; `mapping` takes (N, 2) float64 px, NaN if unknown."""
        if self._competitor is not None:
            points = self._competitor.points.map(mapping)
            self._competitor = None if points is None else replace(self._competitor, points=points)
        self._memory.move(mapping)
        if self._shown is not None:
            self._shown.points = self._shown.points.map(mapping) or self._shown.points
        if math.isfinite(self._at_px[0]):
            x, y = np.asarray(mapping(np.array([self._at_px], np.float64)))[0]
            self._at_px = float(x), float(y)

    def set_level(self, level: int) -> None:
        """Fix the granularity of the shown object."""
        if self._shown is not None:
            self._shown.level, self._shown.is_level_fixed = level, True
            self._counts["wants"] += 1

    def clear(self) -> None:
        """Drop the shown object; its id is remembered, its dwell time is not."""
        if self._shown is not None:
            self._shown.dwell_ns = 0
            self._counts["clears"] += 1
        self._competitor = None
        self._drop_shown()

    def add_objects(self, points: Sequence[MaskPoints], frame_size: tuple[int, int], now_ns: int) -> list[int]:
        """Remember objects that other programs found in the newest frame; returns their ids."""
        return self._memory.add_objects(points, self._shown, frame_size, now_ns)

    def update(self, observed: DwellInput) -> DwellDecision:
        """Decide which mask and state this frame shows."""
        elapsed_ns = max(observed.now_ns - self._now_ns, 0) if self._now_ns is not None else 0
        self._now_ns = observed.now_ns
        self._memory.forget(observed.now_ns, broken=observed.is_broken)
        if observed.carried is not None and not observed.carried.any():
            observed = replace(observed, carried=None)
        decoded = observed.decoded if observed.gaze is not None and observed.gaze.is_steady else None
        fresh = MaskPoints.from_mask(decoded, observed.frame_size) if decoded is not None else None
        if observed.is_broken and self._shown is not None:
            self._counts["breaks"] += 1
            self._competitor = None
            self._drop_shown()
        tracked = self._shown
        if tracked is None:
            if (
                observed.gaze is None
                or fresh is None
                or not self._has_lasted(observed, observed.gaze, fresh, self._settings.preview_s)
            ):
                return self._decide_nothing()
            return self._show(observed, observed.gaze, fresh)
        if observed.is_held:
            return self._keep(observed, tracked)
        if self._is_on(observed, tracked, fresh):
            return self._continue(observed, tracked, fresh, elapsed_ns)
        self._was_on = False
        if observed.gaze is not None and fresh is not None:
            clear, stayed = self._is_clear(observed, observed.gaze), self._has_stayed(observed.gaze)
            ripe = self._has_lasted(observed, observed.gaze, fresh, self._settings.switch_s, clear)
            if stayed and (ripe or clear):
                self._counts["refinements"] += 1
                return self._continue(observed, tracked, fresh, elapsed_ns, changed=True)
            if ripe:
                self._counts["switches"] += 1
                self._drop_shown()
                return self._show(observed, observed.gaze, fresh)
        if observed.carried is None or observed.now_ns - tracked.seen_ns >= self._settings.lost_s * 1e9:
            return self._lose()
        self._update_points(tracked, observed.carried, observed.frame_size)
        return self._decide_held("carried", observed.carried, tracked)

    def _keep(self, observed: DwellInput, tracked: TrackedObject) -> DwellDecision:
        """Keep the held object: as decoded again, or else carried on."""
        self._was_on, self._competitor = False, None
        mask = observed.carried if observed.decoded is None else observed.decoded
        if mask is None:
            return self._lose()
        tracked.seen_ns = observed.now_ns
        self._update_points(tracked, mask, observed.frame_size)
        return self._decide_held("carried" if observed.decoded is None else "decoded", mask, tracked)

    def _lose(self) -> DwellDecision:
        self._counts["losts"] += 1
        self._competitor = None
        self._drop_shown()
        return self._decide_nothing()

    @staticmethod
    def _decide_held(source: Literal["decoded", "carried"], mask: Mask, tracked: TrackedObject) -> DwellDecision:
        return DwellDecision(source, mask, tracked.id, "held", tracked.dwell_ns * 1e-9, tracked.level, False)

    def _is_on(self, observed: DwellInput, tracked: TrackedObject, fresh: MaskPoints | None) -> bool:
        """Tell whether the gaze is on the shown object."""
        gaze = observed.gaze
        if gaze is None or gaze.kind in ("blink", "none"):
            return False
        if fresh is None or observed.decoded is None:
            return observed.carried is not None and is_near(
                observed.carried, observed.frame_size, gaze.point_px, gaze.radius_px
            )
        if tracked.level is not None and observed.level == tracked.level and self._has_stayed(gaze):
            return True
        if observed.carried is None:
            return tracked.points.compare_to(observed.decoded, observed.frame_size).iou >= self._settings.same_iou
        iou = compute_iou(observed.decoded, observed.carried) if observed.iou is None else observed.iou
        return iou >= self._settings.same_iou

    def _has_stayed(self, gaze: GazeEstimate) -> bool:
        """Tell whether the gaze has stayed on the object since its last fixation, within the error radius."""
        return gaze.onset_ns == self._onset_ns or math.dist(gaze.point_px, self._at_px) <= gaze.radius_px

    @staticmethod
    def _is_clear(observed: DwellInput, gaze: GazeEstimate) -> bool:
        """Tell whether the gaze is certainly off the shown mask."""
        return observed.carried is None or not is_near(
            observed.carried, observed.frame_size, gaze.point_px, gaze.radius_px
        )

    def _has_lasted(
        self, observed: DwellInput, gaze: GazeEstimate, fresh: MaskPoints, after_s: float, clear: bool = False
    ) -> bool:
        """Tell whether the fixation on another object has lasted long enough."""
        since_ns = gaze.onset_ns if self._shown is None else max(gaze.onset_ns, self._shown.seen_ns)
        assert observed.decoded is not None
        competitor, same_iou = self._competitor, self._settings.same_iou
        if (
            competitor is not None
            and competitor.points.compare_to(observed.decoded, observed.frame_size).iou >= same_iou
        ):
            since_ns = competitor.since_ns
        if clear and self._shown is not None:
            since_ns = min(since_ns, self._shown.seen_ns)
        self._competitor = _CompetingObject(fresh, since_ns)
        return observed.now_ns - since_ns >= after_s * 1e9

    def _continue(
        self,
        observed: DwellInput,
        tracked: TrackedObject,
        fresh: MaskPoints | None,
        elapsed_ns: int,
        changed: bool = False,
    ) -> DwellDecision:
        """Count the dwell on the object, and show the fresh mask if there is one."""
        assert observed.gaze is not None
        if self._was_on:
            tracked.dwell_ns += elapsed_ns
        self._record_fixation(observed, tracked, observed.gaze)
        self._step_level(observed, tracked, observed.gaze)
        state: State = "locked" if tracked.dwell_ns >= self._settings.lock_s * 1e9 else "preview"
        mask = observed.carried if fresh is None else observed.decoded
        if fresh is not None:
            tracked.points = fresh
        elif mask is not None:
            self._update_points(tracked, mask, observed.frame_size)
        source: Literal["decoded", "carried"] = "carried" if fresh is None else "decoded"
        return DwellDecision(source, mask, tracked.id, state, tracked.dwell_ns * 1e-9, tracked.level, changed)

    def _show(self, observed: DwellInput, gaze: GazeEstimate, fresh: MaskPoints) -> DwellDecision:
        """Show another object: a remembered one, or a new one."""
        since_ns = self._competitor.since_ns if self._competitor is not None else gaze.onset_ns
        dwell_ns = max(
            observed.now_ns - max(since_ns, since_ns if self._memory.broken_ns is None else self._memory.broken_ns), 0
        )
        assert observed.decoded is not None
        tracked = self._memory.recall(observed.decoded, observed.frame_size)
        if tracked is None:
            self._counts["objects"] += 1
            tracked = self._memory.create(fresh, observed.now_ns)
        else:
            self._counts["recalls"] += 1
            if observed.now_ns - tracked.seen_ns < self._settings.lost_s * 1e9:
                dwell_ns += tracked.dwell_ns
        self._shown, self._shown_id, tracked.dwell_ns = tracked, tracked.id, dwell_ns
        return self._continue(observed, tracked, fresh, 0, changed=True)

    def _record_fixation(self, observed: DwellInput, tracked: TrackedObject, gaze: GazeEstimate) -> None:
        """Record position and time of the fixation on the object."""
        self._was_on, self._competitor, tracked.seen_ns = True, None, observed.now_ns
        if gaze.is_steady:
            self._onset_ns, self._at_px = gaze.onset_ns, gaze.point_px

    def _step_level(self, observed: DwellInput, tracked: TrackedObject, gaze: GazeEstimate) -> None:
        """Step the granularity after a deliberately long fixation, up to the whole and down again."""
        if gaze.kind != "fixation":  # a pursuit is not deliberate
            self._step_ns = observed.now_ns
        self._step_ns = gaze.onset_ns if self._step_ns is None else max(self._step_ns, gaze.onset_ns)
        if not self._settings.steps or tracked.is_level_fixed or tracked.dwell_ns < self._settings.lock_s * 1e9:
            return
        if observed.now_ns - self._step_ns < self._settings.step_s * 1e9:
            return
        level = tracked.level if tracked.level is not None else observed.level or 0
        tracked.is_rising = level < WHOLE if level in (0, WHOLE) else tracked.is_rising
        tracked.level = level + (1 if tracked.is_rising else -1)
        self._step_ns = observed.now_ns
        self._counts["steps"] += 1

    def _update_points(self, tracked: TrackedObject, mask: Mask, frame_size: tuple[int, int]) -> None:
        """Update the object's points to the shown mask."""
        tracked.points = MaskPoints.from_mask(mask, frame_size) or tracked.points

    def _drop_shown(self) -> None:
        """Stop showing the object, and remember it."""
        if self._shown is not None:
            self._memory.add(self._shown)
        self._shown, self._was_on = None, False

    def _decide_nothing(self) -> DwellDecision:
        return DwellDecision("nothing", None, self._shown_id, "lost", 0.0, None, False)
