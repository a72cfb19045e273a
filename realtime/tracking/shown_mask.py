"""Decides by dwell which mask a frame shows, refines it, and makes the published result."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from realtime.errors import CommandRejected
from realtime.tracking.dwell.observation import DwellInput
from realtime.tracking.dwell.state_machine import DwellStateMachine
from realtime.tracking.gaze.estimate import GazeEstimate
from realtime.tracking.mask_refinement import MaskRefiner
from realtime.tracking.mask_selection import discount
from realtime.tracking.motion.optical_flow import FlowHistory
from realtime.tracking.settings import TrackerSettings
from realtime.tracking.tracked_mask import MaskProvenance, TrackedMask
from realtime.types import Frame, MaskAlternative, MaskResult


class ShownMask:
    """Holds the shown mask and replaces, carries or drops it once a frame. One thread.

    mask: the one shown last, None when there is none. provenance: of the last result, also after its mask is lost.
    fixed_level: granularity of the shown object, by the user's choice (`is_level_chosen`) or a long fixation.
    """

    def __init__(
        self, clock_ns: Callable[[], int], settings: TrackerSettings, motion: FlowHistory, refiner: MaskRefiner
    ) -> None:
        self._clock_ns, self._settings, self._motion, self._refiner = clock_ns, settings, motion, refiner
        self.dwell = DwellStateMachine(settings.dwell)
        self.mask: TrackedMask | None = None
        self.provenance: MaskProvenance | None = None
        self.fixed_level: int | None = None
        self.is_level_chosen = False

    def restart(self) -> None:
        """Forget everything; another object must not get an old id."""
        self.dwell = DwellStateMachine(self._settings.dwell, last_id=self.dwell.last_id)
        self.mask = self.provenance = self.fixed_level = None

    def clear(self) -> None:
        """Drop the shown mask."""
        self.dwell.clear()
        self.mask = self.fixed_level = None

    def check_shown(self, object_id: int | None) -> int:
        """Return the shown object's id; raises `CommandRejected` without one, or unless it is `object_id`."""
        shown = self.dwell.shown_id
        if self.mask is not None and object_id in (None, shown):
            return shown
        there = "nothing is" if self.mask is None else f"{shown} is"
        raise CommandRejected(
            "nothing is on show" if object_id is None else f"object {object_id} is not on show, {there}"
        )

    def update(
        self,
        now_ns: int,
        frame: Frame,
        estimate: GazeEstimate | None,
        decoded: TrackedMask | None,
        warped: TrackedMask | None,
        *,
        level: int | None,
        is_broken: bool,
        is_held: bool,
        is_meant: bool = False,
    ) -> MaskResult | None:
        """Decide what the newest frame shows; None while nothing was shown or decoded yet.

        decoded: the fresh mask, warped: the one shown last, both in the newest frame. level: granularity of `decoded`.
        is_broken: no motion is known since the frame before. is_held: the user keeps the shown mask.
        is_meant: the wearer has confirmed it, or named it.
        """
        decision = self.dwell.update(
            DwellInput(
                now_ns, estimate, decoded.mask if decoded else None, warped.mask if warped else None,
                frame.size, level=level, is_broken=is_broken, is_held=is_held,
                is_meant=is_meant,
            )
        )  # fmt: skip
        self.fixed_level, self.is_level_chosen = decision.fixed_level, decision.is_level_chosen
        shown = {"decoded": decoded, "carried": warped, "nothing": None}[decision.source]
        self.mask = shown
        if shown is not None:
            self.provenance = shown.provenance
            # A mask is no better than the motion that brought it here.
            chain = self._motion.chain(shown.provenance.keyframe.index)
            mask = self._refiner.refine(shown, frame)
            trust = chain.trust_in(shown.mask) if chain is not None else 0.0
            confidence = discount(shown.provenance.confidence, trust)
            result = shown.provenance.to_result(
                frame, decision.object, decision.state, mask, confidence, self._clock_ns()
            )
            return replace(result, alternatives=self._find_alternatives(shown))
        if self.provenance is None:
            self.provenance = decoded.provenance if decoded is not None else None
        if self.provenance is None:
            return None
        return self.provenance.to_result(frame, decision.object, "lost", None, 0.0, self._clock_ns())

    def _find_alternatives(self, shown: TrackedMask) -> tuple[MaskAlternative, ...]:
        count = self._settings.choice.alternatives
        chain = self._motion.chain(shown.belief.keyframe.index) if count and shown.belief is not None else None
        return () if chain is None else shown.alternatives(chain, count)
