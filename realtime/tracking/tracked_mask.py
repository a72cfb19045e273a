"""A mask with where it comes from, as the tracker carries it from frame to frame and as it is published."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np

from engines import Floats
from realtime.tracking.keyframe import Keyframe
from realtime.tracking.motion import FlowChain
from realtime.tracking.prompter import PromptResult
from realtime.types import Frame, FrameRef, GazeRef, GazeSample, KeyframeRef, Mask, MaskResult, State, TimingNs


@dataclass(frozen=True, slots=True, eq=False)
class MaskProvenance:
    """Where a mask comes from; stays with it while it is only carried on.

    point_px: the gaze that prompted it, in the newest frame; of a mask that is kept on purpose and was asked for by
        itself, the place that it was asked for by. decode_ns: begin and end, host.
    """

    keyframe: Keyframe
    sample: GazeSample
    point_px: tuple[float, float]
    radius_px: float
    score: float
    confidence: float
    decode_ns: tuple[int, int]

    def to_result(
        self, frame: Frame, thing: int, state: State, mask: Mask | None, confidence: float, now_ns: int
    ) -> MaskResult:
        """What is published for the newest frame. mask: (H, W) bool, its."""
        return MaskResult(
            frame=FrameRef.of(frame),
            keyframe=KeyframeRef(self.keyframe.index, self.keyframe.timestamp),
            gaze=GazeRef(self.sample.timestamp, *self.point_px, self.sample.confidence, self.radius_px),
            carried_ms=(now_ns - self.decode_ns[1]) / 1e6,
            object=thing,
            state=state,
            score=self.score,
            confidence=confidence,
            mask=mask,
            timing_ns=TimingNs(self.sample.received_ns, frame.received_ns, *self.decode_ns),
            captured_ns=frame.captured_ns,
        )


@dataclass(frozen=True, slots=True, eq=False)
class TrackedMask:
    """A mask on the working grid of the newest frame, as logits, and where it comes from.

    answer, index: the decoder's answer that it is a candidate of, and which.
    """

    logits: Floats
    provenance: MaskProvenance
    prompt_result: PromptResult
    index: int

    @property
    def mask(self) -> Mask:
        """(h, w) bool."""
        return np.asarray(self.logits > 0)

    def warp(self, since: FlowChain) -> TrackedMask:
        """The same in the next frame, by the motion since the one before it."""
        x, y = since.to_now(np.array([self.provenance.point_px], np.float32))[0]
        provenance = dataclasses.replace(self.provenance, point_px=(float(x), float(y)))
        return dataclasses.replace(self, logits=since.warp(self.logits), provenance=provenance)

    def with_candidate(self, answer: PromptResult, index: int, chain: FlowChain) -> TrackedMask:
        """A candidate of the same or another answer about it; `chain` goes from the newest frame to its keyframe."""
        candidates = answer.candidates
        score = float(np.clip(candidates.predicted_iou[index], 0, 1))
        logits = chain.warp_logits(candidates.logits[index : index + 1], candidates.letterbox)[0]
        provenance = dataclasses.replace(
            self.provenance, keyframe=answer.keyframe, score=score, decode_ns=answer.decode_ns
        )
        return TrackedMask(logits, provenance, answer, index)
