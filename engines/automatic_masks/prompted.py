"""Segments the objects of prompts, one mask each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from engines.automatic_masks.packed_mask import AutomaticMask, Box, pack_mask
from engines.automatic_masks.quality import logits_window, measure_quality
from engines.base import STABILITY_OFFSET, Decoder, Embedding, Floats, MaskCandidates, Prompt, PromptError
from engines.letterbox import Letterbox


def segment_prompt(decoder: Decoder, embedding: Embedding, prompt: Prompt) -> AutomaticMask:
    """Segment the object of one prompt: clicks, a box, or a box with clicks; the mask may be empty.

    For one click that is the best of SAM's three from part to whole. Several clicks or a box are not ambiguous, and
    SAM has a mask of its own for these. A box is clipped to the picture; raises `PromptError` for one outside.
    """
    (found,) = segment_prompts(decoder, embedding, [prompt])
    return found


def segment_prompts(decoder: Decoder, embedding: Embedding, prompts: Sequence[Prompt]) -> tuple[AutomaticMask, ...]:
    """Segment the object of each prompt in one call of the decoder; see `segment_prompt`."""
    if not prompts:
        return ()
    clipped = [_clip_box(prompt, embedding.letterbox) for prompt in prompts]
    return tuple(map(_select_mask, decoder.decode(embedding, clipped), clipped))


def _select_mask(offered: MaskCandidates, prompt: Prompt) -> AutomaticMask:
    is_single_click = prompt.box_px is None and len(prompt.points_px) == 1
    index = offered.best_index if is_single_click else 0
    logits, letterbox = offered.logits[index], offered.letterbox
    box, area, packed = pack_logits(logits, letterbox, (0, 0))
    size = letterbox.width, letterbox.height
    stability = measure_quality(logits, letterbox, STABILITY_OFFSET).stability
    points = tuple((float(x), float(y)) for x, y in prompt.points_px[prompt.labels == 1])
    return AutomaticMask(size, box, area, float(offered.predicted_iou[index]), stability, points, (0, 0, *size), packed)


def _clip_box(prompt: Prompt, letterbox: Letterbox) -> Prompt:
    """Clip the prompt's box to the image."""
    if prompt.box_px is None:
        return prompt
    wide, high = letterbox.width, letterbox.height
    x0, y0, x1, y1 = prompt.box_px.tolist()
    if x1 < 0 or y1 < 0 or x0 >= wide or y0 >= high:
        raise PromptError(f"the box {[x0, y0, x1, y1]} is outside the {wide} x {high} picture")
    inside = np.clip(prompt.box_px, 0, np.array([wide, high] * 2) - 1).astype(np.float32)
    return replace(prompt, box_px=inside)


def pack_logits(logits: Floats, letterbox: Letterbox, corner: tuple[int, int]) -> tuple[Box, int, bytes]:
    """Pack the mask of logits over a crop whose top left pixel is at `corner`; see `pack_mask`."""
    where = logits_window(logits, letterbox, 0.0)
    inside = letterbox.logits_to_picture(logits, where) > 0
    return pack_mask(inside, (where[0] + corner[0], where[1] + corner[1]))
