"""Leads a wearer from target to target, and keeps what was seen and looked at on the way. Pure; time is an argument.

It does not find markers and shows nothing: it is told what the scene camera saw (`see`) and what the tracker said
(`look`), and says what to do next (`advice`). A target is done after `samples` pairs. It can be left at any time, and
any target can be repeated.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from calibration.gaze.matching import NEAR_S, SAMPLES_PER_TARGET, GazePairs, GazeSeries, TargetSeries, match

Array = NDArray[np.float64]
Role = Literal["fit", "check"]
Place = tuple[float, float]

SETTLE_S = 0.7
"""Looks in the first moments of a target belong to the way there: a reaction, a saccade, a correction."""
AWAY_S = 0.4
"""A target unseen for longer settles anew."""
TIMEOUT_S = 15.0
PRESS_S = 0.5
"""A press says what was looked at during so long before it."""
RECENT_LOOKS, MOST_LOOKS, MOST_SIGHTS = 12_000, 20_000, 900
"""Kept of the last half minute at 400 Hz, for presses, and of each target."""
CELL_NEAR = 0.09
"""A moving marker counts for a place of the picture while it is this share of the width from it."""

FIVE: tuple[Place, ...] = ((0.5, 0.5), (0.1, 0.1), (0.9, 0.1), (0.9, 0.9), (0.1, 0.9))
NINE: tuple[Place, ...] = (*FIVE, (0.5, 0.1), (0.9, 0.5), (0.5, 0.9), (0.1, 0.5))
OTHERS: tuple[Place, ...] = ((0.3, 0.3), (0.7, 0.3), (0.7, 0.7), (0.3, 0.7))
"""Shares of the screen's, or the picture's, width and height; `OTHERS` are for validation."""
FIRST_CHECK_MARKER = 20
MOVING_MARKER = 30


@dataclass(frozen=True, slots=True)
class ChoreographyStep:
    """One target. marker: the number of the marker that is shown there. place: shares of screen or picture."""

    name: str
    marker: int
    place: Place
    role: Role


def screen_steps(count: Literal[5, 9], roles: Sequence[Role] = ("fit", "check")) -> tuple[ChoreographyStep, ...]:
    """Targets on a screen, one marker number each, so that what is seen says which one it is, however late."""
    steps: list[ChoreographyStep] = []
    if "fit" in roles:
        steps += [ChoreographyStep(_name(p), i, p, "fit") for i, p in enumerate(FIVE if count == 5 else NINE)]
    if "check" in roles:
        steps += [ChoreographyStep(_name(p), FIRST_CHECK_MARKER + i, p, "check") for i, p in enumerate(OTHERS)]
    return tuple(steps)


def moving_steps(roles: Sequence[Role] = ("fit", "check")) -> tuple[ChoreographyStep, ...]:
    """Places of the picture through which the wearer's head moves the one marker that there is."""
    layout: tuple[tuple[Role, tuple[Place, ...]], ...] = (("fit", NINE), ("check", OTHERS))
    return tuple(
        ChoreographyStep(_name(p), MOVING_MARKER, p, role) for role, places in layout if role in roles for p in places
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
    sights: list[tuple[float, float, float]] = field(default_factory=list)
    looks: list[tuple[float, float, float, float]] = field(default_factory=list)
    pairs: GazePairs | None = None
    given_up: bool = False


class GazeChoreography:
    """Collects pairs for its steps.

    led: we show the targets, one after the other. Else somebody else does, and whichever is seen counts.
    """

    def __init__(
        self, steps: Sequence[ChoreographyStep], *, led: bool = True, samples: int = SAMPLES_PER_TARGET
    ) -> None:
        self.steps, self._led, self._samples = list(steps), led, samples
        self._kept = {step: _KeptSamples() for step in steps}
        self._recent: deque[tuple[float, float, float, float]] = deque(maxlen=RECENT_LOOKS)
        self._newest = -np.inf
        self._collecting: ChoreographyStep | None = None
        self._started_s: dict[ChoreographyStep, float] = {}
        self._left = False
        self._current: ChoreographyStep | None = None  # the one seen last, where somebody else leads

    # -- what happens -------------------------------------------------------------------------------------------------

    def look(self, time_s: float, x: float, y: float, confidence: float) -> None:
        """One gaze sample, px of the picture."""
        row = (time_s, x, y, confidence)
        self._recent.append(row)
        self._newest = max(self._newest, time_s)
        if self._collecting is not None:
            kept = self._kept[self._collecting]
            if time_s - kept.last_s > AWAY_S or self._done(self._collecting):
                self._collecting = None
            elif len(kept.looks) < MOST_LOOKS:
                kept.looks.append(row)

    def see(self, time_s: float, markers: Mapping[int, tuple[float, float]], size: tuple[int, int]) -> None:
        """The markers in one scene frame of `size`, by number: their centres, px. None seen is news, too."""
        step = self._step_of(markers, size)
        if step is None:
            return
        kept = self._kept[step]
        if kept.since_s is None or time_s - kept.last_s > AWAY_S:
            kept.since_s = time_s
        kept.last_s = time_s
        self._current = step
        if self._done(step) or time_s - kept.since_s < SETTLE_S:
            return
        if self._collecting is not step:
            self._collecting = step
            kept.looks += [row for row in self._recent if row[0] >= time_s - NEAR_S]
        if len(kept.sights) < MOST_SIGHTS:
            kept.sights.append((time_s, *markers[step.marker]))
        self._match(step)

    def press(self, time_s: float, x: float, y: float, role: Role) -> ChoreographyStep:
        """The wearer has looked at (x, y) px, something natural, for `PRESS_S` until now: a target of its own."""
        number = sum(step.role == role for step in self.steps) + 1
        step = ChoreographyStep(f"{'point' if role == 'fit' else 'check'} {number}", -len(self.steps) - 1, (x, y), role)
        self.steps.append(step)
        times = np.linspace(time_s - PRESS_S, time_s, self._samples)
        looks = [row for row in self._recent if time_s - PRESS_S <= row[0] <= time_s]
        kept = _KeptSamples(time_s - PRESS_S, time_s, [(float(t), x, y) for t in times], looks)
        self._kept[step] = kept
        self._match(step)
        kept.given_up = kept.pairs is None or not kept.pairs.usable
        return step

    def repeat(self, step: ChoreographyStep | None = None) -> None:
        """Forget what there is of a target, by default the last one that was done, and go there again."""
        if step is None:
            finished = [s for s in self.steps if self._done(s)]
            step = max(finished, key=lambda s: self._kept[s].last_s, default=None)
        if step is None:
            return
        if step.marker < 0:  # it was pressed; press again
            self.steps.remove(step)
            del self._kept[step]
        else:
            self._kept[step] = _KeptSamples()
        self._started_s.pop(step, None)

    def skip(self) -> None:
        """Leave out the target that is shown."""
        if (step := self._next()) is not None:
            self._kept[step].given_up = True

    def leave(self) -> None:
        """Break off; what is done stays."""
        self._left = True

    # -- what there is ------------------------------------------------------------------------------------------------

    def advice(self, now_s: float) -> TargetAdvice:
        """What to show and say now; a target that takes longer than `TIMEOUT_S` is left out."""
        step = self._next()
        if step is not None and self._led:
            begun = self._started_s.setdefault(step, now_s)
            if now_s - begun > TIMEOUT_S:
                self._kept[step].given_up = True
                return self.advice(now_s)
        done, total = sum(self._done(s) for s in self.steps), len(self.steps)
        if step is None:
            return TargetAdvice(None, 1.0, done, total, "left" if self._left else "done")
        return TargetAdvice(step, self._progress(step), done, total, self._hint(step, now_s))

    @property
    def finished(self) -> bool:
        """Whether there is nothing more to look at."""
        return self._next() is None

    def pairs(self, role: Role) -> list[GazePairs]:
        """What was collected of the targets of a role, those with nothing left out."""
        found = [self._kept[step].pairs for step in self.steps if step.role == role]
        return [pairs for pairs in found if pairs is not None and len(pairs)]

    def missed(self) -> list[ChoreographyStep]:
        """Targets without enough samples."""
        return [s for s in self.steps if (p := self._kept[s].pairs) is None or not p.usable]

    def every_look(self, role: Role) -> list[GazePairs]:
        """As `pairs`, with each look and not only one for each frame, for what depends on successive samples."""
        kept = [(step.name, self._kept[step]) for step in self.steps if step.role == role]
        out = [match(name, _sights(k), _looks(k), every_look=True) for name, k in kept if k.sights]
        return [pairs for pairs in out if len(pairs)]

    # -- inside -------------------------------------------------------------------------------------------------------

    def _step_of(self, markers: Mapping[int, tuple[float, float]], size: tuple[int, int]) -> ChoreographyStep | None:
        near = [s for s in self.steps if s.marker in markers and self._at_place(s, markers[s.marker], size)]
        if self._led and near and near[0].marker != MOVING_MARKER:
            wanted = self._next()
            return wanted if wanted in near else None
        return near[0] if near else None

    def _at_place(self, step: ChoreographyStep, at: tuple[float, float], size: tuple[int, int]) -> bool:
        """A marker of its own is its target wherever it is seen, the moving one only near a place."""
        if step.marker != MOVING_MARKER:
            return True
        away = at[0] - step.place[0] * size[0], at[1] - step.place[1] * size[1]
        return float(np.hypot(*away)) < CELL_NEAR * size[0]

    def _next(self) -> ChoreographyStep | None:
        if self._left:
            return None
        if self._current is not None and not self._led and not self._done(self._current):
            return self._current
        return next((step for step in self.steps if not self._done(step)), None)

    def _done(self, step: ChoreographyStep) -> bool:
        kept = self._kept[step]
        return kept.given_up or (kept.pairs is not None and len(kept.pairs) >= self._samples)

    def _progress(self, step: ChoreographyStep) -> float:
        pairs = self._kept[step].pairs
        return min(1.0, len(pairs) / self._samples) if pairs is not None else 0.0

    def _hint(self, step: ChoreographyStep, now_s: float) -> str:
        kept = self._kept[step]
        if step.marker == MOVING_MARKER and now_s - kept.last_s > AWAY_S:
            return f"eyes on the marker; turn your head until it is in the ring, {step.name}"
        if now_s - kept.last_s > AWAY_S and not self._led:
            return "none of the markers that are still wanted is in the pictures; waiting for one"
        if now_s - kept.last_s > AWAY_S:
            return "the scene camera does not see the marker: turn towards it, come nearer, or make it brighter"
        if now_s - self._newest > AWAY_S:
            return "no gaze arrives: is the tracker running?"
        if kept.pairs is not None and kept.pairs.seen > 20 and kept.pairs.lost > 0.5 * kept.pairs.seen:
            return "the tracker is not sure where your eyes look: adjust it, or look up"
        return f"look at the marker, {step.name}"

    def _match(self, step: ChoreographyStep) -> None:
        kept = self._kept[step]
        kept.pairs = match(step.name, _sights(kept), _looks(kept))


def _looks(kept: _KeptSamples) -> GazeSeries:
    table = np.array(kept.looks, np.float64).reshape(-1, 4)
    return GazeSeries(table[:, 0], table[:, 1:3], table[:, 3])


def _sights(kept: _KeptSamples) -> TargetSeries:
    table = np.array(kept.sights, np.float64).reshape(-1, 3)
    return TargetSeries(table[:, 0], table[:, 1:])


def _name(place: Place) -> str:
    across = "left" if place[0] < 0.4 else "right" if place[0] > 0.6 else ""
    down = "upper" if place[1] < 0.4 else "lower" if place[1] > 0.6 else ""
    inner = "inner " if place in OTHERS else ""
    return inner + (f"{down} {across}".strip() or "middle")
