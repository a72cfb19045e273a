"""Overrides the gaze by a user's commands: step to a part or whole, hold the object, clear. Pure.

The tracker's thread applies commands between two frames; no clock is read, so that a recording replays exactly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from engines import Floats, MaskCandidates, Prompt
from realtime.tracking.dwell.mask_points import MaskPoints
from realtime.tracking.hypotheses import rank_levels
from realtime.tracking.keyframe import Keyframe
from realtime.tracking.mask_selection import Belief
from realtime.tracking.motion.flow_chain import FlowChain
from realtime.tracking.prompt_box import find_mask_box
from realtime.tracking.prompter import MaskPrompter, PromptResult
from realtime.tracking.tracked_mask import TrackedMask
from realtime.types import FrameKey, Mask

GROWN = 1.05
"""A step goes to a mask whose area differs by this factor, because SAM often offers the same mask twice."""


@dataclass(frozen=True, slots=True)
class UserOverrides:
    """Overrides in force now.

    is_held: the shown object stays, independently of the gaze.
    candidate: decode and index of the candidate to show instead from the next frame on, if any.
    belief: what may be meant, with that candidate chosen of it; None after a step to a part or whole.
    cleared_ns: fixations that began until then are ignored; None: never cleared.
    """

    is_held: bool = False
    candidate: tuple[PromptResult, int] | None = None
    belief: Belief | None = None
    cleared_ns: int | None = None

    def is_cleared(self, onset_ns: int) -> bool:
        """Return whether a fixation that began at `onset_ns` had begun when the user cleared the result."""
        return self.cleared_ns is not None and onset_ns <= self.cleared_ns


def find_next_level(candidates: MaskCandidates, area: int, step: int) -> tuple[int, int] | None:
    """Find candidate and level of the next mask that is smaller (step -1) or larger (1) than an area.

    area: in logits, as `PromptResult.area`. Without such a mask, the smallest or largest; None from a decoder that
    offers only one mask.
    """
    masks = candidates.logits > 0
    areas = [int(np.count_nonzero(mask)) for mask in masks]
    ranked = sorted((level, k) for k, level in enumerate(rank_levels(masks)) if level is not None)
    if not ranked:
        return None
    if step > 0:
        found = [(k, level) for level, k in ranked if areas[k] >= GROWN * area]
        return found[0] if found else ranked[-1][::-1]
    found = [(k, level) for level, k in ranked if areas[k] * GROWN <= area]
    return found[-1] if found else ranked[0][::-1]


@dataclass(frozen=True, slots=True, eq=False)
class ExternalObjects:
    """Objects that other programs found on a frame; the gaze finds them under the ids reported back.

    mask_points: None for an object without a place in the frame.
    """

    frame: FrameKey
    mask_points: tuple[MaskPoints | None, ...]


SAME_IOU = 0.6
"""A held mask decoded on a newer keyframe is accepted if it overlaps the carried one by this IoU."""


def make_mask_prompt(mask: Mask, chain: FlowChain) -> tuple[Prompt, tuple[float, float]]:
    """Make a prompt of a mask's most interior point and its bounding box, in the older frame.

    Returns that point in the newest frame too, px. mask: (h, w) on the working grid, not empty. A point alone would be
    ambiguous again, a box alone would include other objects in it. The carried mask is used, not the last prompt, so
    that moving and turning objects are followed.
    """
    rim = cv2.copyMakeBorder(mask.astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    depth = cv2.distanceTransform(rim, cv2.DIST_L2, 3)[1:-1, 1:-1]
    row, column = np.unravel_index(int(np.argmax(depth)), depth.shape)
    scale = np.array([chain.size[0] / mask.shape[1], chain.size[1] / mask.shape[0]], np.float32)
    now = ((np.array([[column, row]]) + 0.5) * scale - 0.5).astype(np.float32)
    found = find_mask_box(mask, chain)
    assert found is not None
    box = np.clip(np.array(found.box_px, np.float32), 0, np.array(chain.size * 2, np.float32) - 1)
    prompt = Prompt(chain.to_then(now), np.ones(1, np.int8), box)
    return prompt, (float(now[0, 0]), float(now[0, 1]))


def redecode_held_mask(
    shown: TrackedMask,
    keyframe: Keyframe,
    chain: FlowChain,
    prompter: MaskPrompter,
    clicks: tuple[Floats, Sequence[int]],
) -> TrackedMask | None:
    """Decode a held mask again on a newer keyframe, so that carrying does not degrade it.

    chain: from the newest frame to that keyframe. clicks: of the user, (N, 2) px of the newest frame, and their labels,
    which the mask agrees with. Returns the mask in the newest frame; None when the keyframe is not
    newer, or shows another object there.
    """
    mask = shown.mask
    if shown.provenance.keyframe.index >= keyframe.index or not mask.any():
        return None
    prompt, point_px = make_mask_prompt(mask, chain)
    if len(clicks[1]):
        places = np.clip(chain.to_then(clicks[0]), 0, np.array(keyframe.size, np.float32) - 1)
        labels = np.array([*prompt.labels, *clicks[1]], np.int8)
        prompt = replace(prompt, points_px=np.concatenate([prompt.points_px, places]), labels=labels)
    answer = prompter.decode_mask_prompt(prompt, shown.provenance.sample, shown.provenance.radius_px, keyframe)
    logits = chain.warp_logits(answer.candidates.logits, answer.candidates.letterbox)
    index, overlap = find_most_similar(logits > 0, mask)
    if overlap < SAME_IOU:
        return None
    score = float(np.clip(answer.candidates.predicted_iou[index], 0, 1))
    decode = replace(
        shown.provenance, keyframe=keyframe, point_px=point_px, score=score, confidence=score * overlap,
        decode_ns=answer.decode_ns,
    )  # fmt: skip
    return TrackedMask(logits[index], decode, answer, index, shown.belief)


def find_most_similar(masks: NDArray[np.bool_], shown: Mask) -> tuple[int, float]:
    """Find which of (K, h, w) masks overlaps an (h, w) one most, and its IoU."""
    common = (masks & shown).sum((1, 2))
    union = np.maximum((masks | shown).sum((1, 2)), 1)
    index = int(np.argmax(common / union))
    return index, float(common[index] / union[index])
