"""Leads a wearer through calibration targets and collects gaze and marker samples for each. Pure; time is an argument.

It neither detects markers nor draws: `add_markers` takes the markers of a scene frame, `add_gaze` a gaze sample, and
`advise` returns the next instruction. A target is done after `samples` pairs. The wearer can stop at any time and
repeat any target.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from calibration.gaze.matching import (
    MAX_TIME_GAP_S,
    SAMPLES_PER_TARGET,
    GazePairs,
    GazeSeries,
    TargetSeries,
    match_samples,
)

Array = NDArray[np.float64]
Role = Literal["fit", "check"]
Place = tuple[float, float]

SETTLE_S = 0.7
"""Looks in the first moments of a target belong to the way there: a reaction, a saccade, a correction."""
MAX_GAP_S = 0.4
"""A target unseen for longer settles anew."""
TIMEOUT_S = 15.0
CONFIRMED_FIXATION_S = 0.5
"""A press says what was looked at during so long before it."""
MAX_RECENT_GAZE, MAX_GAZE_PER_TARGET, MAX_DETECTIONS_PER_TARGET = 12_000, 20_000, 900
"""Kept of the last half minute at 400 Hz, for presses, and of each target."""
MAX_PLACE_DISTANCE = 0.09
"""A moving marker counts for a place of the picture while it is this share of the width from it."""

FIVE_PLACES: tuple[Place, ...] = ((0.5, 0.5), (0.1, 0.1), (0.9, 0.1), (0.9, 0.9), (0.1, 0.9))
NINE_PLACES: tuple[Place, ...] = (*FIVE_PLACES, (0.5, 0.1), (0.9, 0.5), (0.5, 0.9), (0.1, 0.5))
CHECK_PLACES: tuple[Place, ...] = ((0.3, 0.3), (0.7, 0.3), (0.7, 0.7), (0.3, 0.7))
"""Shares of the screen's, or the picture's, width and height; `CHECK_PLACES` are for validation."""
FIRST_CHECK_MARKER = 20
MOVING_MARKER = 30


@dataclass(frozen=True, slots=True)
class ChoreographyStep:
    """One target. marker: the number of the marker that is shown there. place: shares of screen or picture."""

    name: str
    marker: int
    place: Place
    role: Role


def build_screen_steps(count: Literal[5, 9], roles: Sequence[Role] = ("fit", "check")) -> tuple[ChoreographyStep, ...]:
    """Targets on a screen, one marker number each, so that what is seen says which one it is, however late."""
    steps: list[ChoreographyStep] = []
    if "fit" in roles:
        steps += [
            ChoreographyStep(_describe_place(p), i, p, "fit")
            for i, p in enumerate(FIVE_PLACES if count == 5 else NINE_PLACES)
        ]
    if "check" in roles:
        steps += [
            ChoreographyStep(_describe_place(p), FIRST_CHECK_MARKER + i, p, "check") for i, p in enumerate(CHECK_PLACES)
        ]
    return tuple(steps)


def build_moving_steps(roles: Sequence[Role] = ("fit", "check")) -> tuple[ChoreographyStep, ...]:
    """Places of the picture through which the wearer's head moves the one marker that there is."""
    layout: tuple[tuple[Role, tuple[Place, ...]], ...] = (("fit", NINE_PLACES), ("check", CHECK_PLACES))
    return tuple(
        ChoreographyStep(_describe_place(p), MOVING_MARKER, p, role)
        for role, places in layout
        if role in roles
        for p in places
    )


@dataclass(frozen=True, slots=True)
class TargetAdvice:
    """What to do now. step: the target to show and to look at, None when all is done or left. progress: 0..1 of it.

    done, total: targets. hint: one short sentence for the wearer.
    """

    step: ChoreographyStep | None
    progress: float
    done: int
    total: int
    hint: str


@dataclass(slots=True)
class _KeptSamples:
    """What there is of one step."""

    since_s: float | None = None
    last_s: float = -np.inf
    detections: list[tuple[float, float, float]] = field(default_factory=list)
    gaze: list[tuple[float, float, float, float]] = field(default_factory=list)
    pairs: GazePairs | None = None
    is_skipped: bool = False


class GazeChoreography:
    """Collects pairs for its steps.

    led: we show the targets, one after the other. Else somebody else does, and whichever is seen counts.
    """

    def __init__(
        self, steps: Sequence[ChoreographyStep], *, is_guided: bool = True, samples: int = SAMPLES_PER_TARGET
    ) -> None:
        self.steps, self._is_guided, self._samples = list(steps), is_guided, samples
        self._collected = {step: _KeptSamples() for step in steps}
        self._recent_gaze: deque[tuple[float, float, float, float]] = deque(maxlen=MAX_RECENT_GAZE)
        self._newest_gaze_s = -np.inf
        self._collecting: ChoreographyStep | None = None
        self._started_s: dict[ChoreographyStep, float] = {}
        self._is_stopped = False
        self._last_seen_step: ChoreographyStep | None = None  # the one seen last, where somebody else leads

    # -- what happens -------------------------------------------------------------------------------------------------

    def add_gaze(self, time_s: float, x: float, y: float, confidence: float) -> None:
        """One gaze sample, px of the picture."""
        row = (time_s, x, y, confidence)
        self._recent_gaze.append(row)
        self._newest_gaze_s = max(self._newest_gaze_s, time_s)
        if self._collecting is not None:
            kept = self._collected[self._collecting]
            if time_s - kept.last_s > MAX_GAP_S or self._is_done(self._collecting):
                self._collecting = None
            elif len(kept.gaze) < MAX_GAZE_PER_TARGET:
                kept.gaze.append(row)

    def add_markers(self, time_s: float, markers: Mapping[int, tuple[float, float]], size: tuple[int, int]) -> None:
        """The markers in one scene frame of `size`, by number: their centres, px. None seen is news, too."""
        step = self._find_step(markers, size)
        if step is None:
            return
        kept = self._collected[step]
        if kept.since_s is None or time_s - kept.last_s > MAX_GAP_S:
            kept.since_s = time_s
        kept.last_s = time_s
        self._last_seen_step = step
        if self._is_done(step) or time_s - kept.since_s < SETTLE_S:
            return
        if self._collecting is not step:
            self._collecting = step
            kept.gaze += [row for row in self._recent_gaze if row[0] >= time_s - MAX_TIME_GAP_S]
        if len(kept.detections) < MAX_DETECTIONS_PER_TARGET:
            kept.detections.append((time_s, *markers[step.marker]))
        self._match_step(step)

    def add_point(self, time_s: float, x: float, y: float, role: Role) -> ChoreographyStep:
        """Add a natural target at (x, y) px, fixated during the last `CONFIRMED_FIXATION_S` seconds."""
        number = sum(step.role == role for step in self.steps) + 1
        step = ChoreographyStep(f"{'point' if role == 'fit' else 'check'} {number}", -len(self.steps) - 1, (x, y), role)
        self.steps.append(step)
        times = np.linspace(time_s - CONFIRMED_FIXATION_S, time_s, self._samples)
        looks = [row for row in self._recent_gaze if time_s - CONFIRMED_FIXATION_S <= row[0] <= time_s]
        kept = _KeptSamples(time_s - CONFIRMED_FIXATION_S, time_s, [(float(t), x, y) for t in times], looks)
        self._collected[step] = kept
        self._match_step(step)
        kept.is_skipped = kept.pairs is None or not kept.pairs.is_usable
        return step

    def repeat(self, step: ChoreographyStep | None = None) -> None:
        """Forget what there is of a target, by default the last one that was done, and go there again."""
        if step is None:
            finished = [s for s in self.steps if self._is_done(s)]
            step = max(finished, key=lambda s: self._collected[s].last_s, default=None)
        if step is None:
            return
        if step.marker < 0:  # it was pressed; press again
            self.steps.remove(step)
            del self._collected[step]
        else:
            self._collected[step] = _KeptSamples()
        self._started_s.pop(step, None)

    def skip(self) -> None:
        """Leave out the target that is shown."""
        if (step := self._current_step()) is not None:
            self._collected[step].is_skipped = True

    def stop(self) -> None:
        """Break off; what is done stays."""
        self._is_stopped = True

    # -- what there is ------------------------------------------------------------------------------------------------

    def advise(self, now_s: float) -> TargetAdvice:
        """What to show and say now; a target that takes longer than `TIMEOUT_S` is left out."""
        step = self._current_step()
        if step is not None and self._is_guided:
            begun = self._started_s.setdefault(step, now_s)
            if now_s - begun > TIMEOUT_S:
                self._collected[step].is_skipped = True
                return self.advise(now_s)
        done, total = sum(self._is_done(s) for s in self.steps), len(self.steps)
        if step is None:
            return TargetAdvice(None, 1.0, done, total, "left" if self._is_stopped else "done")
        return TargetAdvice(step, self._measure_progress(step), done, total, self._choose_hint(step, now_s))

    @property
    def is_finished(self) -> bool:
        """Whether there is nothing more to look at."""
        return self._current_step() is None

    def get_pairs(self, role: Role) -> list[GazePairs]:
        """What was collected of the targets of a role, those with nothing left out."""
        found = [self._collected[step].pairs for step in self.steps if step.role == role]
        return [pairs for pairs in found if pairs is not None and len(pairs)]

    def find_missed_steps(self) -> list[ChoreographyStep]:
        """Targets without enough samples."""
        return [s for s in self.steps if (p := self._collected[s].pairs) is None or not p.is_usable]

    def get_sample_pairs(self, role: Role) -> list[GazePairs]:
        """As `get_pairs`, with each look and not only one for each frame, for what depends on successive samples."""
        kept = [(step.name, self._collected[step]) for step in self.steps if step.role == role]
        out = [
            match_samples(name, _target_series(k), _gaze_series(k), every_sample=True)
            for name, k in kept
            if k.detections
        ]
        return [pairs for pairs in out if len(pairs)]

    # -- inside -------------------------------------------------------------------------------------------------------

    def _find_step(self, markers: Mapping[int, tuple[float, float]], size: tuple[int, int]) -> ChoreographyStep | None:
        near = [s for s in self.steps if s.marker in markers and self._is_at_place(s, markers[s.marker], size)]
        if self._is_guided and near and near[0].marker != MOVING_MARKER:
            wanted = self._current_step()
            return wanted if wanted in near else None
        return near[0] if near else None

    def _is_at_place(self, step: ChoreographyStep, at: tuple[float, float], size: tuple[int, int]) -> bool:
        """A marker of its own is its target wherever it is seen, the moving one only near a place."""
        if step.marker != MOVING_MARKER:
            return True
        away = at[0] - step.place[0] * size[0], at[1] - step.place[1] * size[1]
        return float(np.hypot(*away)) < MAX_PLACE_DISTANCE * size[0]

    def _current_step(self) -> ChoreographyStep | None:
        if self._is_stopped:
            return None
        if self._last_seen_step is not None and not self._is_guided and not self._is_done(self._last_seen_step):
            return self._last_seen_step
        return next((step for step in self.steps if not self._is_done(step)), None)

    def _is_done(self, step: ChoreographyStep) -> bool:
        kept = self._collected[step]
        return kept.is_skipped or (kept.pairs is not None and len(kept.pairs) >= self._samples)

    def _measure_progress(self, step: ChoreographyStep) -> float:
        pairs = self._collected[step].pairs
        return min(1.0, len(pairs) / self._samples) if pairs is not None else 0.0

    def _choose_hint(self, step: ChoreographyStep, now_s: float) -> str:
        kept = self._collected[step]
        if step.marker == MOVING_MARKER and now_s - kept.last_s > MAX_GAP_S:
            return f"eyes on the marker; turn your head until it is in the ring, {step.name}"
        if now_s - kept.last_s > MAX_GAP_S and not self._is_guided:
            return "none of the markers that are still wanted is in the pictures; waiting for one"
        if now_s - kept.last_s > MAX_GAP_S:
            return "the scene camera does not see the marker: turn towards it, come nearer, or make it brighter"
        if now_s - self._newest_gaze_s > MAX_GAP_S:
            return "no gaze arrives: is the tracker running?"
        if kept.pairs is not None and kept.pairs.total > 20 and kept.pairs.lost > 0.5 * kept.pairs.total:
            return "the tracker is not sure where your eyes look: adjust it, or look up"
        return f"look at the marker, {step.name}"

    def _match_step(self, step: ChoreographyStep) -> None:
        kept = self._collected[step]
        kept.pairs = match_samples(step.name, _target_series(kept), _gaze_series(kept))


def _gaze_series(kept: _KeptSamples) -> GazeSeries:
    table = np.array(kept.gaze, np.float64).reshape(-1, 4)
    return GazeSeries(table[:, 0], table[:, 1:3], table[:, 3])


def _target_series(kept: _KeptSamples) -> TargetSeries:
    table = np.array(kept.detections, np.float64).reshape(-1, 3)
    return TargetSeries(table[:, 0], table[:, 1:])


def _describe_place(place: Place) -> str:
    across = "left" if place[0] < 0.4 else "right" if place[0] > 0.6 else ""
    down = "upper" if place[1] < 0.4 else "lower" if place[1] > 0.6 else ""
    inner = "inner " if place in CHECK_PLACES else ""
    return inner + (f"{down} {across}".strip() or "middle")
