"""Leads a wearer through calibration targets and collects gaze and marker samples for each. Pure; time is an argument.

It neither detects markers nor draws: `add_markers` takes the markers of a scene frame, `add_gaze` a gaze sample, and
`advise` returns the next instruction. A target is done after `samples` pairs. The wearer can stop at any time and
repeat any target.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from calibration.gaze.matching import (
    MAX_TIME_GAP_S,
    NO_PAIRS,
    SAMPLES_PER_TARGET,
    GazePairs,
    GazeSeries,
    TargetSeries,
    match_samples,
)

Role = Literal["fit", "check"]
Place = tuple[float, float]

SETTLE_S = 0.7
"""Gaze during a target's first moments is a reaction, a saccade, a correction."""
MAX_GAP_S = 0.4
"""A target that is not detected for longer settles again."""
TIMEOUT_S = 15.0
CONFIRMED_FIXATION_S = 0.5
"""Time before a key press during which its target was fixated."""
MAX_RECENT_GAZE, MAX_GAZE_PER_TARGET, MAX_DETECTIONS_PER_TARGET = 12_000, 20_000, 900
"""Limits of the recent gaze (half a minute at 400 Hz, for key presses) and of each target."""
MAX_PLACE_DISTANCE = 0.09
"""Largest distance of the moving marker from a place, as a share of the picture's width."""

FIVE_PLACES: tuple[Place, ...] = ((0.5, 0.5), (0.1, 0.1), (0.9, 0.1), (0.9, 0.9), (0.1, 0.9))
NINE_PLACES: tuple[Place, ...] = (*FIVE_PLACES, (0.5, 0.1), (0.9, 0.5), (0.5, 0.9), (0.1, 0.5))
CHECK_PLACES: tuple[Place, ...] = ((0.3, 0.3), (0.7, 0.3), (0.7, 0.7), (0.3, 0.7))
"""Shares of the screen's or picture's width and height; `CHECK_PLACES` are for validation."""
FIRST_CHECK_MARKER = 20
MOVING_MARKER = 30


@dataclass(frozen=True, slots=True)
class ChoreographyStep:
    """A target that shows a marker. place: shares of screen or picture."""

    name: str
    marker: int
    place: Place
    role: Role


def build_screen_steps(count: Literal[5, 9], roles: Sequence[Role] = ("fit", "check")) -> tuple[ChoreographyStep, ...]:
    """Build targets on a screen; unique markers identify each, independent of latency."""
    layout: dict[Role, tuple[int, tuple[Place, ...]]] = {
        "fit": (0, FIVE_PLACES if count == 5 else NINE_PLACES),
        "check": (FIRST_CHECK_MARKER, CHECK_PLACES),
    }
    return tuple(
        ChoreographyStep(_describe_place(place), marker, place, role)
        for role, (first, places) in layout.items()
        if role in roles
        for marker, place in enumerate(places, first)
    )


def build_moving_steps(roles: Sequence[Role] = ("fit", "check")) -> tuple[ChoreographyStep, ...]:
    """Build targets in the picture, to which the wearer's head movement brings the one marker."""
    return tuple(replace(step, marker=MOVING_MARKER) for step in build_screen_steps(9, roles))


@dataclass(frozen=True, slots=True)
class TargetAdvice:
    """Holds the next instruction. progress: 0..1 of the step. done, total: targets.

    step: the target to show and fixate, None when all are done or skipped. hint: one short sentence for the wearer.
    """

    step: ChoreographyStep | None
    progress: float
    done: int
    total: int
    hint: str


@dataclass(slots=True)
class _KeptSamples:
    since_s: float | None = None
    last_s: float = -np.inf
    detections: list[tuple[float, float, float]] = field(default_factory=list)
    gaze: list[tuple[float, float, float, float]] = field(default_factory=list)
    pairs: GazePairs = NO_PAIRS
    is_skipped: bool = False

    def match(self, name: str, *, every_sample: bool = False) -> GazePairs:
        targets, gaze = np.reshape(self.detections, (-1, 3)), np.reshape(self.gaze, (-1, 4))
        return match_samples(
            name,
            TargetSeries(targets[:, 0], targets[:, 1:]),
            GazeSeries(gaze[:, 0], gaze[:, 1:3], gaze[:, 3]),
            every_sample=every_sample,
        )


class GazeChoreography:
    """Collects pairs for its steps.

    is_guided: the steps are shown one after the other. Otherwise they are shown elsewhere, and any detected one counts.
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
        self._last_seen_step: ChoreographyStep | None = None  # the latest detected one, if not guided

    def add_gaze(self, time_s: float, x: float, y: float, confidence: float) -> None:
        """Add one gaze sample, px of the picture."""
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
        """Add one scene frame's markers by number: their centres, px. Call it without markers, too."""
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
        kept.pairs = kept.match(step.name)

    def add_point(self, time_s: float, x: float, y: float, role: Role) -> ChoreographyStep:
        """Add a natural target at (x, y) px, fixated during the last `CONFIRMED_FIXATION_S` seconds."""
        number = sum(step.role == role for step in self.steps) + 1
        step = ChoreographyStep(f"{'point' if role == 'fit' else 'check'} {number}", -len(self.steps) - 1, (x, y), role)
        self.steps.append(step)
        times = np.linspace(time_s - CONFIRMED_FIXATION_S, time_s, self._samples)
        recent = [row for row in self._recent_gaze if time_s - CONFIRMED_FIXATION_S <= row[0] <= time_s]
        kept = _KeptSamples(time_s - CONFIRMED_FIXATION_S, time_s, [(float(t), x, y) for t in times], recent)
        self._collected[step] = kept
        kept.pairs = kept.match(step.name)
        kept.is_skipped = not kept.pairs.is_usable
        return step

    def repeat(self, step: ChoreographyStep | None = None) -> None:
        """Discard a target's samples, by default the latest finished one's, and repeat it."""
        if step is None:
            finished = [s for s in self.steps if self._is_done(s)]
            step = max(finished, key=lambda s: self._collected[s].last_s, default=None)
        if step is None:
            return
        if step.marker < 0:  # it was a key press, which must be repeated
            self.steps.remove(step)
            del self._collected[step]
        else:
            self._collected[step] = _KeptSamples()
        self._started_s.pop(step, None)

    def skip(self) -> None:
        """Skip the current target."""
        if (step := self._current_step()) is not None:
            self._collected[step].is_skipped = True

    def stop(self) -> None:
        """Stop; finished targets stay."""
        self._is_stopped = True

    def advise(self, now_s: float) -> TargetAdvice:
        """Choose the next instruction; a target that takes longer than `TIMEOUT_S` is skipped."""
        step = self._current_step()
        if step is not None and self._is_guided and now_s - self._started_s.setdefault(step, now_s) > TIMEOUT_S:
            self._collected[step].is_skipped = True
            return self.advise(now_s)
        done, total = sum(self._is_done(s) for s in self.steps), len(self.steps)
        if step is None:
            return TargetAdvice(None, 1.0, done, total, "stopped" if self._is_stopped else "done")
        progress = min(1.0, len(self._collected[step].pairs) / self._samples)
        return TargetAdvice(step, progress, done, total, self._choose_hint(step, now_s))

    @property
    def is_finished(self) -> bool:
        """Whether no target is left."""
        return self._current_step() is None

    def get_pairs(self, role: Role) -> list[GazePairs]:
        """Get the pairs of each target of a role; targets without pairs are left out."""
        return [kept.pairs for step, kept in self._collected.items() if step.role == role and len(kept.pairs)]

    def find_missed_steps(self) -> list[ChoreographyStep]:
        """Find targets without enough samples."""
        return [step for step in self.steps if not self._collected[step].pairs.is_usable]

    def get_sample_pairs(self, role: Role) -> list[GazePairs]:
        """Get pairs of every gaze sample, not one for each frame, for precision."""
        kept = [(step.name, self._collected[step]) for step in self.steps if step.role == role]
        return [pairs for name, samples in kept if len(pairs := samples.match(name, every_sample=True))]

    def _find_step(self, markers: Mapping[int, tuple[float, float]], size: tuple[int, int]) -> ChoreographyStep | None:
        near = [s for s in self.steps if s.marker in markers and self._is_at_place(s, markers[s.marker], size)]
        if self._is_guided and near and near[0].marker != MOVING_MARKER:
            wanted = self._current_step()
            return wanted if wanted in near else None
        return near[0] if near else None

    def _is_at_place(self, step: ChoreographyStep, at: tuple[float, float], size: tuple[int, int]) -> bool:
        """Whether a marker is at its target: unique markers are anywhere, the moving one near the place."""
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
        return kept.is_skipped or len(kept.pairs) >= self._samples

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
        if kept.pairs.total > 20 and kept.pairs.lost > 0.5 * kept.pairs.total:
            return "the tracker is not sure where your eyes look: adjust it, or look up"
        return f"look at the marker, {step.name}"


def _describe_place(place: Place) -> str:
    across = "left" if place[0] < 0.4 else "right" if place[0] > 0.6 else ""
    down = "upper" if place[1] < 0.4 else "lower" if place[1] > 0.6 else ""
    inner = "inner " if place in CHECK_PLACES else ""
    return inner + (f"{down} {across}".strip() or "middle")
