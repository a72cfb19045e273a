"""Carries the shown and the decoded masks from frame to frame, their edges aligned at every step.

A decoded mask is brought from its keyframe to the newest frame once, when it is first used, and goes on from there with
every frame. Warping the keyframe's mask anew along an ever longer chain would lose what chained flow loses.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from realtime.tracking.motion.layered_motion import CarriedOdds, LayerSettings, carry_odds
from realtime.tracking.motion.motion_fusion import MotionFusion
from realtime.tracking.motion.optical_flow import FlowHistory
from realtime.tracking.motion.reference_mask import ReferenceMask
from realtime.tracking.tracked_mask import TrackedMask


@dataclass(slots=True, eq=False)
class _Track:
    """A candidate on its way. used: index of the frame in which it was needed last."""

    mask: TrackedMask
    carried: CarriedOdds
    used: int


class MaskCarrier:
    """Carries candidates of decodes to the newest frame. One thread."""

    def __init__(self, motion: FlowHistory, settings: LayerSettings) -> None:
        self._motion, self._settings = motion, settings
        self._fusion = MotionFusion()
        self._tracks: list[_Track] = []
        self._now: int | None = None

    def reset(self) -> None:
        """Forget everything, as after a change of source."""
        self._tracks.clear()

    def carry(self, shown: TrackedMask | None, decoded: TrackedMask | None) -> tuple[TrackedMask | None, ...]:
        """Replace the log-odds of the shown and the decoded mask, warped by a chain, by those carried step by step.

        While a decoded mask begins, which costs as much, the shown one stays as it was warped.
        """
        now = self._motion.now
        if now is None:
            return shown, decoded
        if now != self._now:
            self._tracks = [track for track in self._tracks if track.used == self._now]
            self._now = now
        begins = decoded is not None and self._find(decoded) is None
        decoded = self._carry(decoded, now) if decoded is not None else None
        track = self._find(shown) if shown is not None else None
        if track is not None and begins and track.carried.index != now:
            track.used = now
        elif shown is not None:
            shown = self._carry(shown, now)
        return shown, decoded

    def _find(self, mask: TrackedMask) -> _Track | None:
        candidates, index = mask.prompt_result.candidates, mask.index
        return next((track for track in self._tracks if track.mask.is_of(candidates, index)), None)

    def _carry(self, mask: TrackedMask, now: int) -> TrackedMask:
        track = self._find(mask)
        if track is None:
            track = _Track(mask, self._begin(mask, now), now)
            self._tracks.append(track)
        elif track.carried.index != now:
            pair = self._motion.pair(track.carried.index)
            if pair is None:
                return mask
            track.carried = carry_odds(track.carried, pair, self._settings)
        track.used = now
        return replace(mask, logits=track.carried.odds)

    def _begin(self, mask: TrackedMask, now: int) -> CarriedOdds:
        keyframe, candidates = mask.provenance.keyframe, mask.prompt_result.candidates
        chain, pair = self._motion.chain(keyframe.index), self._motion.pair(keyframe.index)
        if chain is None or pair is None or keyframe.index == now:
            reference = ReferenceMask.from_frame(mask.logits, self._motion.lab)
            return CarriedOdds(now, mask.logits, reference, np.eye(2, 3, dtype=np.float32))
        chosen = candidates.logits[mask.index : mask.index + 1]
        odds = chain.resample_logits(chosen, candidates.letterbox)[0]
        reference = ReferenceMask.from_frame(odds, pair.labs[0])
        return self._fusion.carry(reference, pair, self._motion.flows_since(keyframe.index))
