"""Defines the mask that the tracker carries from frame to frame, with its provenance."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from engines import Floats, MaskCandidates
from realtime.tracking.dwell.mask_points import compute_iou
from realtime.tracking.hypotheses import SAME_IOU
from realtime.tracking.keyframe import Keyframe
from realtime.tracking.mask_selection import Belief, calibrate
from realtime.tracking.motion.flow_chain import FlowChain
from realtime.tracking.prompter import PromptResult
from realtime.tracking.whole_object import NESTED_SHARE
from realtime.types import (
    Frame,
    FrameRef,
    GazeRef,
    GazeSample,
    KeyframeRef,
    Mask,
    MaskAlternative,
    MaskKind,
    MaskPrompt,
    MaskResult,
    State,
    TimingNs,
)


@dataclass(frozen=True, slots=True, eq=False)
class MaskProvenance:
    """Keyframe, gaze and decode behind a mask; unchanged while the mask is only carried along.

    point_px: the prompting gaze in the newest frame; of a held mask that was decoded again, its prompt point.
    decode_ns: begin and end, host. prompt: what selected the object.
    """

    keyframe: Keyframe
    sample: GazeSample
    point_px: tuple[float, float]
    radius_px: float
    score: float
    confidence: float
    decode_ns: tuple[int, int]
    prompt: MaskPrompt = "gaze"

    def to_result(
        self, frame: Frame, object_id: int, state: State, mask: Mask | None, confidence: float, now_ns: int
    ) -> MaskResult:
        """Make the result to publish for the newest frame. mask: (H, W) bool of that frame."""
        return MaskResult(
            frame=FrameRef.of(frame),
            keyframe=KeyframeRef(self.keyframe.index, self.keyframe.timestamp),
            gaze=GazeRef(self.sample.timestamp, *self.point_px, self.sample.confidence, self.radius_px),
            carried_ms=(now_ns - self.decode_ns[1]) / 1e6,
            object=object_id,
            state=state,
            score=self.score,
            confidence=confidence,
            mask=mask,
            timing_ns=TimingNs(self.sample.received_ns, frame.received_ns, *self.decode_ns),
            captured_ns=frame.captured_ns,
            prompt=self.prompt,
        )


@dataclass(frozen=True, slots=True, eq=False)
class TrackedMask:
    """A mask on the working grid of the newest frame, as logits, with its provenance.

    prompt_result, index: the decode that it is a candidate of, and which.
    belief: what may be meant; of a mask that the user holds, as it was before. None where that is not known.
    """

    logits: Floats
    provenance: MaskProvenance
    prompt_result: PromptResult
    index: int
    belief: Belief | None = None

    @property
    def mask(self) -> Mask:
        """The (h, w) bool mask on the working grid."""
        return np.asarray(self.logits > 0)

    def is_of(self, candidates: MaskCandidates, index: int) -> bool:
        """Return whether it is this candidate of a decode."""
        return self.index == index and self.prompt_result.candidates is candidates

    def alternatives(self, chain: FlowChain, count: int) -> tuple[MaskAlternative, ...]:
        """List up to `count` other masks that may be meant; `chain` goes from the newest frame to the belief's."""
        if self.belief is None:
            return ()
        hypotheses = self.belief.hypotheses[: count + 1]
        logits = np.concatenate([each.candidates.logits[each.index : each.index + 1] for each in hypotheses])
        masks = chain.warp_logits(logits, hypotheses[0].candidates.letterbox) > 0
        shown, room = self.mask, 1 - self.provenance.confidence
        others = [k for k in range(len(masks)) if masks[k].any() and compute_iou(masks[k], shown) < SAME_IOU][:count]
        weights = [calibrate(float(self.belief.evidence[k])) for k in others]
        scale = min(1.0, room / max(sum(weights), 1e-9))
        return tuple(
            MaskAlternative(masks[k], weight * scale, _compare_kind(masks[k], shown))
            for k, weight in zip(others, weights, strict=True)
        )

    def warp(self, since: FlowChain) -> TrackedMask:
        """Carry it to the next frame by the motion since the one before."""
        x, y = since.to_now(np.array([self.provenance.point_px], np.float32))[0]
        provenance = replace(self.provenance, point_px=(float(x), float(y)))
        return replace(self, logits=since.warp(self.logits), provenance=provenance)

    def with_candidate(
        self, answer: PromptResult, index: int, chain: FlowChain, belief: Belief | None = None
    ) -> TrackedMask:
        """Replace it by a candidate of a decode; `chain` goes from the newest frame to the decode's keyframe.

        belief: what may be meant, if the candidate was chosen of it.
        """
        candidates = answer.candidates
        score = float(np.clip(candidates.predicted_iou[index], 0, 1))
        logits = chain.warp_logits(candidates.logits[index : index + 1], candidates.letterbox)[0]
        provenance = replace(self.provenance, keyframe=answer.keyframe, score=score, decode_ns=answer.decode_ns)
        return TrackedMask(logits, provenance, answer, index, belief or self.belief)


def _compare_kind(mask: Mask, shown: Mask) -> MaskKind:
    """Compare a mask with the shown one of the same grid: part of it, the whole that it is part of, or another."""
    area, common = np.count_nonzero(mask), np.count_nonzero(mask & shown)
    if common >= NESTED_SHARE * area and area < np.count_nonzero(shown):
        return "part"
    return "whole" if common >= NESTED_SHARE * np.count_nonzero(shown) else "other"
