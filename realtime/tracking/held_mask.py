"""Follows a mask that is kept, whatever the gaze does: decodes it again on newer keyframes. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from engines import Floats, Prompt
from realtime.tracking.keyframe import Keyframe
from realtime.tracking.motion.flow_chain import FlowChain
from realtime.tracking.motion.optical_flow import FlowHistory
from realtime.tracking.prompt_box import find_mask_box
from realtime.tracking.prompter import MaskPrompter
from realtime.tracking.tracked_mask import TrackedMask
from realtime.types import Mask

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
    shown: TrackedMask | None,
    keyframe: Keyframe | None,
    motion: FlowHistory,
    prompter: MaskPrompter,
    clicks: tuple[Floats, Sequence[int]],
) -> TrackedMask | None:
    """Decode a held mask again on a newer keyframe, so that carrying does not degrade it.

    clicks: of the user, (N, 2) px of the newest frame, and their labels, which the mask agrees with. Returns the mask
    in the newest frame; None when there is no mask or no newer keyframe, or that shows another object there.
    """
    chain = motion.chain(keyframe.index) if keyframe is not None else None
    if shown is None or keyframe is None or chain is None:
        return None
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
