"""Ranks many masks of a picture as proposals of objects.

Kirillov et al., "Segment Anything", ICCV 2023, appendix D.3: a dense grid without crops, a duplicate only where boxes
agree to an IoU of 0.9, ranked by the mean of confidence and stability. There the grid has 64 clicks a side.
"""

from __future__ import annotations

from collections.abc import Sequence

from engines.automatic_masks.packed_mask import AutomaticMask
from engines.automatic_masks.settings import AutomaticSettings

PROPOSAL_SETTINGS = AutomaticSettings(least_predicted_iou=0.5, least_stability=0.6, duplicate_iou=0.9)
MAX_PROPOSALS = 1000
"""Of a picture; the most that evaluations of proposals count."""


def score_proposal(mask: AutomaticMask) -> float:
    """Return the mean of predicted IoU and stability, the mask's rank."""
    return (mask.predicted_iou + mask.stability_score) / 2


def rank_proposals(masks: Sequence[AutomaticMask], most: int = MAX_PROPOSALS) -> tuple[AutomaticMask, ...]:
    """Return at most so many masks, the highest score first."""
    return tuple(sorted(masks, key=score_proposal, reverse=True)[:most])
