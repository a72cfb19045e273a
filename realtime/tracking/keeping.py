"""A mask that is kept whatever the eyes do: asked for anew on newer keyframes, by a prompt from the mask itself."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from engines import Prompt
from realtime.tracking.keyframe import Keyframe
from realtime.tracking.motion import FlowChain
from realtime.tracking.prompter import MaskPrompter
from realtime.tracking.tracked_mask import TrackedMask
from realtime.types import Mask

SAME_IOU = 0.6
"""What the decoder says of a kept mask on a newer keyframe is believed if it overlaps the carried one so much."""


@dataclass(frozen=True, slots=True, eq=False)
class SelfPrompt:
    """A mask as a prompt for itself on an older frame; point_px: its most interior point, in the newest frame."""

    prompt: Prompt
    point_px: tuple[float, float]


def self_prompt(mask: Mask, chain: FlowChain) -> SelfPrompt:
    """The point deepest inside an (h, w) mask on the working grid, not empty, and the box round it, in the older frame.

    A point alone would be ambiguous again, a box alone would take what else is in it. From the mask that is carried,
    and not from the last prompt: what moves or turns is followed.
    """
    rim = cv2.copyMakeBorder(mask.astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    depth = cv2.distanceTransform(rim, cv2.DIST_L2, 3)[1:-1, 1:-1]
    row, column = np.unravel_index(int(np.argmax(depth)), depth.shape)
    contours, _ = cv2.findContours(rim, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    outline = np.concatenate(contours)[:, 0] - 1
    scale = np.array([chain.size[0] / mask.shape[1], chain.size[1] / mask.shape[0]], np.float32)
    now = ((np.vstack([[column, row], outline]) + 0.5) * scale - 0.5).astype(np.float32)
    then = chain.to_then(now)
    last = np.array(chain.size, np.float32) - 1
    low = np.clip(then[1:].min(0) - scale / 2, 0, last)
    high = np.clip(then[1:].max(0) + scale / 2, 0, last)
    prompt = Prompt(then[:1], np.ones(1, np.int8), np.concatenate([low, high]).astype(np.float32))
    return SelfPrompt(prompt, (float(now[0, 0]), float(now[0, 1])))


def asked_again(shown: TrackedMask, keyframe: Keyframe, chain: FlowChain, prompter: MaskPrompter) -> TrackedMask | None:
    """What is on show as a newer keyframe has it, in the newest frame, so that it does not wear off with carrying.

    chain: from the newest frame to that keyframe. None where the keyframe is not newer, or shows something else there.
    """
    mask = shown.mask
    if shown.decode.keyframe.index >= keyframe.index or not mask.any():
        return None
    about = self_prompt(mask, chain)
    answer = prompter.ask_again(about.prompt, shown.decode.sample, shown.decode.radius_px, keyframe)
    logits = chain.sampled(answer.candidates.logits, answer.candidates.letterbox)
    index, alike = most_alike(logits > 0, mask)
    if alike < SAME_IOU:
        return None
    score = float(np.clip(answer.candidates.predicted_iou[index], 0, 1))
    decode = replace(
        shown.decode, keyframe=keyframe, point_px=about.point_px, score=score, confidence=score * alike,
        decode_ns=answer.decode_ns,
    )  # fmt: skip
    return TrackedMask(logits[index], decode, answer, index)


def most_alike(masks: NDArray[np.bool_], shown: Mask) -> tuple[int, float]:
    """Which of (K, h, w) masks overlaps an (h, w) one most, and its IoU."""
    common = (masks & shown).sum((1, 2))
    union = np.maximum((masks | shown).sum((1, 2)), 1)
    index = int(np.argmax(common / union))
    return index, float(common[index] / union[index])
