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
the error radius of that mask. A decode that disagrees replaces the mask: at once if the gaze did not leave, and is on
the decode or clear of the mask, as another mask of the same object (a part, a whole, or what motion had carried away
from under the gaze), since the selection has weighed the shown mask already; else after `switch_s`, as another object
if the gaze has left, with its old id if it is remembered, and its dwell time if it was left for less than `lost_s`.
The time counts from the first disagreeing decode and, where the gaze is clear of the mask, from when it left. In
`lost` the id is that of the lost object (0 at first); an object found again at its place gets its id back. With
`DwellInput.is_held` the object is `held` independently of the gaze, until it is lost or released.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np

from realtime.tracking.dwell.competing_object import CompetingObject
from realtime.tracking.dwell.level_stepper import LevelStepper
from realtime.tracking.dwell.mask_points import Mapper, MaskPoints, compute_iou, is_near
from realtime.tracking.dwell.object_memory import ObjectMemory, TrackedObject
from realtime.tracking.dwell.observation import DwellDecision, DwellInput
from realtime.tracking.dwell.settings import DwellSettings
from realtime.tracking.gaze.estimate import GazeEstimate
from realtime.types import Mask, State


class DwellStateMachine:
    """Tracks the dwell on one shown object: `move` with the picture, then `update` once a frame. One thread.

    shown_id: id of the object shown now or last; 0 at first.
    counts: numbers of events: objects, switches, recalls, refinements, losts, breaks, steps, wants, clears.
    """

    def __init__(self, settings: DwellSettings | None = None, *, last_id: int = 0) -> None:
        """Begin without a shown object; new ids continue from `last_id`."""
        self._settings = settings or DwellSettings()
        self.counts: Counter[str] = Counter()
        self._shown: TrackedObject | None = None
        self._competitor = CompetingObject(self._settings.same_iou)
        self._stepper = LevelStepper(self._settings)
        self._memory = ObjectMemory(self._settings, last_id)
        self.shown_id = 0
        self._now_ns: int | None = None
        self._was_on = False
        self._onset_ns: int | None = None
        self._at_px = (math.nan, math.nan)

    @property
    def last_id(self) -> int:
        """The newest object id."""
        return self._memory.last_id

    def move(self, mapping: Mapper) -> None:
        """Carry all objects to the newest frame's pixels; `mapping` takes (N, 2) float64 px, NaN if unknown."""
        self._competitor.move(mapping)
        self._memory.move(mapping)
        if self._shown is not None:
            self._shown.points = self._shown.points.map(mapping) or self._shown.points
        if math.isfinite(self._at_px[0]):
            x, y = np.asarray(mapping(np.array([self._at_px], np.float64)))[0]
            self._at_px = float(x), float(y)

    def set_level(self, level: int | None) -> None:
        """Fix the granularity of the shown object; None: it is that of a mask that the user chose."""
        if self._shown is not None:
            self._shown.level, self._shown.is_level_fixed = level, True
            self.counts["wants"] += 1

    def release_gaze(self) -> None:
        """Regard the gaze as having left the shown object, as when the user names another one."""
        self._onset_ns, self._at_px = None, (math.nan, math.nan)

    def clear(self) -> None:
        """Drop the shown object; its id is remembered, its dwell time is not."""
        if self._shown is not None:
            self._shown.dwell_ns = 0
            self.counts["clears"] += 1
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
            self.counts["breaks"] += 1
            self._drop_shown()
        tracked = self._shown
        if tracked is None:
            if observed.gaze is None or fresh is None:
                return self._decide_nothing()
            lasted_ns = self._competitor.update(observed, observed.gaze, fresh)
            is_ripe = lasted_ns >= self._settings.preview_s * 1e9
            return self._show(observed, observed.gaze, fresh) if is_ripe else self._decide_nothing()
        if observed.is_held:
            return self._keep(observed, tracked)
        if self._is_on(observed, tracked, fresh):
            if self._was_on:
                tracked.dwell_ns += elapsed_ns
            return self._continue(observed, tracked, fresh)
        if self._was_on and elapsed_ns >= self._settings.lost_s * 1e9:
            tracked.seen_ns = observed.now_ns  # where no frame came for so long, nobody knows where the gaze was
        self._was_on = False
        if observed.gaze is not None and fresh is not None:
            is_clear, has_stayed = self._is_clear(observed, observed.gaze), self._has_stayed(observed.gaze)
            lasted_ns = self._competitor.update(observed, observed.gaze, fresh, tracked, is_clear)
            is_ripe = lasted_ns >= self._settings.switch_s * 1e9
            if has_stayed and (is_ripe or is_clear or not self._is_off(observed, observed.gaze, observed.decoded)):
                self.counts["refinements"] += 1
                return self._continue(observed, tracked, fresh, changed=True)
            if is_ripe:
                self.counts["switches"] += 1
                return self._show(observed, observed.gaze, fresh)
        if observed.carried is None or observed.now_ns - tracked.seen_ns >= self._settings.lost_s * 1e9:
            return self._lose()
        self._update_points(tracked, observed.carried, observed.frame_size)
        return self._decide_held("carried", observed.carried, tracked)

    def _keep(self, observed: DwellInput, tracked: TrackedObject) -> DwellDecision:
        """Keep the held object: as decoded again, or else carried on."""
        self._was_on = False
        self._competitor.clear()
        mask = observed.carried if observed.decoded is None else observed.decoded
        if mask is None:
            return self._lose()
        tracked.seen_ns = observed.now_ns
        self._update_points(tracked, mask, observed.frame_size)
        return self._decide_held("carried" if observed.decoded is None else "decoded", mask, tracked)

    def _lose(self) -> DwellDecision:
        self.counts["losts"] += 1
        self._drop_shown()
        return self._decide_nothing()

    @staticmethod
    def _decide_held(source: Literal["decoded", "carried"], mask: Mask, tracked: TrackedObject) -> DwellDecision:
        return DwellDecision(
            source, mask, tracked.id, "held", tracked.dwell_ns * 1e-9, tracked.level, False, tracked.is_level_fixed
        )

    def _is_on(self, observed: DwellInput, tracked: TrackedObject, fresh: MaskPoints | None) -> bool:
        gaze = observed.gaze
        if gaze is None or gaze.kind in ("blink", "none"):
            return False
        if fresh is None or observed.decoded is None:
            return not self._is_clear(observed, gaze)
        if tracked.level is not None and observed.level == tracked.level and self._has_stayed(gaze):
            return True
        if observed.carried is None:
            return tracked.points.compare_to(observed.decoded, observed.frame_size).iou >= self._settings.same_iou
        return compute_iou(observed.decoded, observed.carried) >= self._settings.same_iou

    def _has_stayed(self, gaze: GazeEstimate) -> bool:
        """Return whether the gaze has stayed on the object since its last fixation, within the error radius."""
        return gaze.onset_ns == self._onset_ns or math.dist(gaze.point_px, self._at_px) <= gaze.radius_px

    def _is_clear(self, observed: DwellInput, gaze: GazeEstimate) -> bool:
        """Return whether the gaze is certainly off the shown mask."""
        return self._is_off(observed, gaze, observed.carried)

    @staticmethod
    def _is_off(observed: DwellInput, gaze: GazeEstimate, mask: Mask | None) -> bool:
        return mask is None or not is_near(mask, observed.frame_size, gaze.point_px, gaze.radius_px)

    def _continue(
        self, observed: DwellInput, tracked: TrackedObject, fresh: MaskPoints | None, changed: bool = False
    ) -> DwellDecision:
        """Record the gaze on the object, and show the fresh mask if there is one."""
        assert observed.gaze is not None
        self._was_on, tracked.seen_ns = True, observed.now_ns
        self._competitor.clear()
        if observed.gaze.is_steady:
            self._onset_ns, self._at_px = observed.gaze.onset_ns, observed.gaze.point_px
        if self._stepper.update(observed, tracked, observed.gaze):
            self.counts["steps"] += 1
        state: State = "locked" if tracked.dwell_ns >= self._settings.lock_s * 1e9 else "preview"
        mask = observed.carried if fresh is None else observed.decoded
        if fresh is not None:
            tracked.points = fresh
        elif mask is not None:
            self._update_points(tracked, mask, observed.frame_size)
        source: Literal["decoded", "carried"] = "carried" if fresh is None else "decoded"
        return DwellDecision(
            source, mask, tracked.id, state, tracked.dwell_ns * 1e-9, tracked.level, changed, tracked.is_level_fixed
        )

    def _show(self, observed: DwellInput, gaze: GazeEstimate, fresh: MaskPoints) -> DwellDecision:
        since_ns = self._competitor.since_ns if self._competitor.since_ns is not None else gaze.onset_ns
        self._drop_shown()
        dwell_ns = max(
            observed.now_ns - max(since_ns, since_ns if self._memory.broken_ns is None else self._memory.broken_ns), 0
        )
        assert observed.decoded is not None
        tracked = self._memory.recall(observed.decoded, observed.frame_size)
        if tracked is None:
            self.counts["objects"] += 1
            tracked = self._memory.create(fresh, observed.now_ns)
        else:
            self.counts["recalls"] += 1
            if observed.now_ns - tracked.seen_ns < self._settings.lost_s * 1e9:
                dwell_ns += tracked.dwell_ns
        self._shown, self.shown_id, tracked.dwell_ns = tracked, tracked.id, dwell_ns
        return self._continue(observed, tracked, fresh, changed=True)

    def _update_points(self, tracked: TrackedObject, mask: Mask, frame_size: tuple[int, int]) -> None:
        tracked.points = MaskPoints.from_mask(mask, frame_size) or tracked.points

    def _drop_shown(self) -> None:
        self._competitor.clear()
        if self._shown is not None:
            self._memory.add(self._shown)
        self._shown, self._was_on = None, False

    def _decide_nothing(self) -> DwellDecision:
        return DwellDecision("nothing", None, self.shown_id, "lost", 0.0, None, False)
