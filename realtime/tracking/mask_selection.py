"""Which mask is meant: of a decoder's candidates, the one that agrees with what was on show while the eyes stay.

SAM answers a point with several masks, from part to whole, and its own ranking flips from frame to frame. Everything
here is on small grids, so that choosing costs about a millisecond.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engines import MaskCandidates

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class SelectionSettings:
    """What counts, against the predicted IoU with weight 1.

    agreement: weight of the IoU with what was on show.
    coverage: weight of the share of the gaze's error disc that lies inside.
    runaway_area: share of the picture above which a mask is taken to have run away to the background.
    runaway: penalty for that.
    fate: weight of how far motion changes along the edge, see `realtime.tracking.motion.common_fate`.
    support: weight of how far other points within the gaze's error offer the same mask, once they have voted.
    """

    agreement: float = 0.5
    coverage: float = 0.1
    runaway_area: float = 0.4
    runaway: float = 0.5
    fate: float = 0.4
    support: float = 0.5


@dataclass(frozen=True, slots=True)
class MaskSelection:
    """The chosen candidate.

    confidence: 0..1; what the vote says, else the predicted IoU times the agreement with what was on show (1 when
        nothing was).
    agreement: IoU with what was on show, None when nothing was.
    level: its granularity, 0 part to 2 whole; None for the mask that SAM means for several points.
    """

    index: int
    confidence: float
    agreement: float | None
    level: int | None


def select_mask(
    masks: NDArray[np.bool_],
    predicted_iou: Floats,
    disc: Floats,
    shown: Floats | NDArray[np.bool_] | None,
    picture: float,
    settings: SelectionSettings | None = None,
    *,
    fate: Floats | None = None,
    voted: Floats | None = None,
    level: int | None = None,
) -> MaskSelection:
    """Choose one of (K, h, w) masks on any grid; `disc` and `shown` (h, w) are on the same, `picture` is its area.

    fate: (K,) their `measure_common_fate`, where it is known. voted: (K,) their support by other points, see `compute_support`, where there was a vote.
    level: 0 part to 2 whole, the only one that is wanted.
    """
    weigh = settings or SelectionSettings()
    score, agreement = _scored(masks, predicted_iou, disc, shown, picture, weigh)
    if fate is not None:
        score = score + weigh.fate * fate
    if voted is not None:
        score = score + weigh.support * voted
    ranks = rank_levels(masks)
    index = int(np.argmax(score)) if level is None or level not in ranks else ranks.index(level)
    agreed = None if agreement is None else float(agreement[index])
    if voted is not None:
        confidence = float(voted[index])
    else:
        confidence = min(max(float(predicted_iou[index]), 0.0), 1.0) * (1.0 if agreed is None else agreed)
    return MaskSelection(index, confidence, agreed, ranks[index])


def rank_levels(masks: NDArray[np.bool_]) -> tuple[int | None, ...]:
    """The granularity of each of (K, h, w) candidates, 0 part to 2 whole, by area; None for SAM's first of four."""
    if len(masks) < 2:
        return (None,) * len(masks)
    order = np.argsort([np.count_nonzero(mask) for mask in masks[1:]], kind="stable")
    ranks = np.empty(len(order), int)
    ranks[order] = np.arange(len(order))
    return (None, *ranks.tolist())


def _scored(
    masks: NDArray[np.bool_],
    predicted_iou: Floats,
    disc: Floats,
    shown: Floats | NDArray[np.bool_] | None,
    picture: float,
    weigh: SelectionSettings,
) -> tuple[Floats, Floats | None]:
    """(K,) scores and, where something was on show, (K,) agreement with it."""
    flat = masks.reshape(len(masks), -1).astype(np.float32)
    area = flat.sum(1)
    score = np.clip(predicted_iou, 0.0, 1.0) + weigh.coverage * (flat @ disc.ravel()) / max(1.0, float(disc.sum()))
    score = score - weigh.runaway * (area > weigh.runaway_area * picture)
    agreement = None
    if shown is not None:
        common = flat @ shown.ravel().astype(np.float32)
        union = area + float(shown.sum()) - common
        agreement = np.where(union > 0, common / np.maximum(union, 1e-6), 1.0)
        score = score + weigh.agreement * agreement
    elif len(masks) > 1:
        # SAM trains its first mask for prompts of several points; for one point the other three are meant.
        score[0] = -np.inf
    return score, agreement


def compute_support(answer: MaskCandidates, others: Sequence[MaskCandidates]) -> Floats:
    """(K,) 0..1: how far other points within the gaze's error offer the same masks as an answer.

    A mask is supported by another point to the degree that it offers one like it: the best of IoU times predicted IoU;
    the mean over all points. Of all that was tried it follows the true IoU best.
    """
    answers = [answer, *others]
    width, height = answer.letterbox.content_size
    step = answer.logits.shape[-1] / answer.letterbox.side
    rows, columns = max(1, round(height * step)), max(1, round(width * step))
    # Every other logit is enough to compare by where there are many.
    every = 2 if rows * columns > 128 * 128 else 1
    flat = np.stack([(a.logits[:, :rows:every, :columns:every] > 0).reshape(len(a.logits), -1) for a in answers])
    masks = flat.astype(np.float32)
    areas = masks.sum(2)
    common = masks[0] @ masks.reshape(-1, masks.shape[-1]).T
    union = areas[0][:, None] + areas.reshape(1, -1) - common
    predicted = np.clip(np.stack([a.predicted_iou for a in answers]), 0.0, 1.0)
    alike = common / np.maximum(union, 1e-6) * predicted.reshape(1, -1)
    return np.asarray(alike.reshape(masks.shape[1], len(answers), -1).max(2).mean(1), np.float32)
