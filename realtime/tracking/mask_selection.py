"""Selects one of a decoder's candidates: the one that agrees with the shown mask during a fixation.

SAM offers several masks for a point, from part to whole, and its own ranking flips from frame to frame. Grids are
small, so that selection costs about a millisecond.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engines import Floats, MaskCandidates


@dataclass(frozen=True, slots=True)
class SelectionSettings:
    """Weights of the selection's criteria; that of the predicted IoU is 1.

    agreement: weight of the IoU with the shown mask.
    coverage: weight of the share of the gaze's error disc inside the mask.
    runaway_area: share of the picture above which a mask is considered background.
    runaway: penalty for that.
    fate: weight of the change of motion along the edge, see `realtime.tracking.motion.common_fate.measure_common_fate`.
    support: weight of `compute_support`, once other points have voted.
    """

    agreement: float = 0.5
    coverage: float = 0.1
    runaway_area: float = 0.4
    runaway: float = 0.5
    fate: float = 0.4
    support: float = 0.5


@dataclass(frozen=True, slots=True)
class MaskSelection:
    """The selected candidate.

    confidence: 0..1; its support, else the predicted IoU times the agreement (1 without a shown mask).
    agreement: IoU with the shown mask; None without one.
    level: its granularity, 0 part to 2 whole; None for SAM's mask for prompts of several points.
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
    """Select one of (K, h, w) masks on any grid.

    disc, shown: (h, w) on the same grid; the gaze's error disc and the shown mask. picture: the grid's area.

    fate: (K,) common fate, if known. voted: (K,) support by other points, if they have voted.
    level: 0 part to 2 whole, the only one allowed.
    """
    weights = settings or SelectionSettings()
    score, agreement = _score(masks, predicted_iou, disc, shown, picture, weights)
    if fate is not None:
        score = score + weights.fate * fate
    if voted is not None:
        score = score + weights.support * voted
    ranks = rank_levels(masks)
    index = int(np.argmax(score)) if level is None or level not in ranks else ranks.index(level)
    agreed = None if agreement is None else float(agreement[index])
    if voted is not None:
        confidence = float(voted[index])
    else:
        confidence = min(max(float(predicted_iou[index]), 0.0), 1.0) * (1.0 if agreed is None else agreed)
    return MaskSelection(index, confidence, agreed, ranks[index])


def rank_levels(masks: NDArray[np.bool_]) -> tuple[int | None, ...]:
    """Rank the granularity of (K, h, w) candidates by area, 0 part to 2 whole; None for SAM's first of four."""
    if len(masks) < 2:
        return (None,) * len(masks)
    order = np.argsort([np.count_nonzero(mask) for mask in masks[1:]], kind="stable")
    ranks = np.empty(len(order), int)
    ranks[order] = np.arange(len(order))
    return (None, *ranks.tolist())


def _score(
    masks: NDArray[np.bool_],
    predicted_iou: Floats,
    disc: Floats,
    shown: Floats | NDArray[np.bool_] | None,
    picture: float,
    weights: SelectionSettings,
) -> tuple[Floats, Floats | None]:
    """Compute (K,) scores and, with a shown mask, (K,) agreement with it."""
    flat = masks.reshape(len(masks), -1).astype(np.float32)
    area = flat.sum(1)
    score = np.clip(predicted_iou, 0.0, 1.0) + weights.coverage * (flat @ disc.ravel()) / max(1.0, float(disc.sum()))
    score = score - weights.runaway * (area > weights.runaway_area * picture)
    agreement = None
    if shown is not None:
        common = flat @ shown.ravel().astype(np.float32)
        union = area + float(shown.sum()) - common
        agreement = np.where(union > 0, common / np.maximum(union, 1e-6), 1.0)
        score = score + weights.agreement * agreement
    elif len(masks) > 1:
        # SAM trains its first mask for prompts of several points and the other three for a single point.
        score[0] = -np.inf
    return score, agreement


def compute_support(answer: MaskCandidates, others: Sequence[MaskCandidates]) -> Floats:
    """Compute (K,) 0..1 support of a result's masks by the results of other points within the gaze's error.

    A point supports a mask by the best product of IoU and predicted IoU among its own masks; support is the mean over
    all points. Of the measures compared it correlates best with the true IoU.
    """
    answers = [answer, *others]
    width, height = answer.letterbox.content_size
    step = answer.logits.shape[-1] / answer.letterbox.side
    rows, columns = max(1, round(height * step)), max(1, round(width * step))
    # Where there are many logits, every other one is enough to compare masks.
    every = 2 if rows * columns > 128 * 128 else 1
    flat = np.stack([(a.logits[:, :rows:every, :columns:every] > 0).reshape(len(a.logits), -1) for a in answers])
    masks = flat.astype(np.float32)
    areas = masks.sum(2)
    common = masks[0] @ masks.reshape(-1, masks.shape[-1]).T
    union = areas[0][:, None] + areas.reshape(1, -1) - common
    predicted = np.clip(np.stack([a.predicted_iou for a in answers]), 0.0, 1.0)
    alike = common / np.maximum(union, 1e-6) * predicted.reshape(1, -1)
    return np.asarray(alike.reshape(masks.shape[1], len(answers), -1).max(2).mean(1), np.float32)
