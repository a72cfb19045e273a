"""Steps the granularity of the shown object by long fixations."""

from __future__ import annotations

from realtime.tracking.dwell.object_memory import TrackedObject
from realtime.tracking.dwell.observation import DwellInput
from realtime.tracking.dwell.settings import DwellSettings
from realtime.tracking.gaze.estimate import GazeEstimate

WHOLE = 2
"""Granularity levels run from 0, a part, to 2, the whole, as SAM orders its masks 1 to 3."""


class LevelStepper:
    """Steps an object's level after a deliberately long fixation, up to the whole and down again."""

    def __init__(self, settings: DwellSettings) -> None:
        self._settings = settings
        self._since_ns: int | None = None

    def update(self, observed: DwellInput, tracked: TrackedObject, gaze: GazeEstimate) -> bool:
        """Step the level if the fixation has lasted long enough; returns whether it did."""
        if gaze.kind != "fixation":  # a pursuit is not deliberate
            self._since_ns = observed.now_ns
        self._since_ns = gaze.onset_ns if self._since_ns is None else max(self._since_ns, gaze.onset_ns)
        is_fixed = tracked.is_level_fixed or observed.is_meant
        if not self._settings.steps or is_fixed or tracked.dwell_ns < self._settings.lock_s * 1e9:
            return False
        if observed.now_ns - self._since_ns < self._settings.step_s * 1e9:
            return False
        level = tracked.level if tracked.level is not None else observed.level or 0
        tracked.is_rising = level < WHOLE if level in (0, WHOLE) else tracked.is_rising
        tracked.level = level + (1 if tracked.is_rising else -1)
        self._since_ns = observed.now_ns
        return True
