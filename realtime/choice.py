"""Which mask is meant: of a decoder's candidates, the one that agrees with what was on show while the eyes stay.

SAM answers a point with several masks, from part to whole, and its own ranking flips from frame to frame. Everything
here is on the decoder's low-resolution grid over the keyframe, so that choosing costs well under a millisecond.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engines import Candidates, Letterbox

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class ChoiceSettings:
    """What counts, against the predicted IoU with weight 1.

    agreement: weight of the IoU with what was on show.
    coverage: weight of the share of the gaze's error disc that lies inside.
    runaway_area: share of the picture above which a mask is taken to have run away to the background.
    runaway: penalty for that.
    support: weight, in a vote, of how far the other points offer the same mask.
    """

    agreement: float = 0.5
    coverage: float = 0.1
    runaway_area: float = 0.4
    runaway: float = 0.5
    support: float = 0.5


@dataclass(frozen=True, slots=True)
class Choice:
    """The chosen candidate.

    confidence: 0..1, the predicted IoU times the agreement with what was on show (1 when nothing was); of a vote, see
        there.
    agreement: IoU with what was on show, None when nothing was.
    """

    index: int
    confidence: float
    agreement: float | None


def iou(a: Floats, b: Floats) -> float:
    """Intersection over union of two maps of 0..1 (Ruzicka similarity when they are soft); 1 when both are empty."""
    union = float(np.maximum(a, b).sum())
    return float(np.minimum(a, b).sum()) / union if union > 0 else 1.0


def gaze_disc(point_px: tuple[float, float], radius_px: float, letterbox: Letterbox, side: int = 256) -> Floats:
    """(side, side) float32 over the letterboxed square: 1 within `radius_px` of a place in the picture."""
    step = side / letterbox.side
    x, y = (letterbox.to_model(np.array([point_px], np.float32))[0] + 0.5) * step - 0.5
    r = max(1.0, radius_px * letterbox.scale[0] * step)
    rows, columns = np.ogrid[:side, :side]
    return np.asarray((columns - x) ** 2 + (rows - y) ** 2 <= r * r, np.float32)


def choose(
    candidates: Candidates,
    point_px: tuple[float, float],
    radius_px: float,
    shown: Floats | None = None,
    settings: ChoiceSettings | None = None,
) -> Choice:
    """Choose one of a prompt's candidates.

    point_px, radius_px: the gaze in the keyframe and its error radius.
    shown: (256, 256) float32 of 0..1, what was on show, carried into the keyframe (`Chain.back_to_logits`); None after
        a saccade to something else, when nothing was on show, or when its chain cannot be trusted.
    """
    masks = candidates.logits > 0
    disc = gaze_disc(point_px, radius_px, candidates.letterbox, masks.shape[-1])
    width, height = candidates.letterbox.content_size
    picture = width * height * (masks.shape[-1] / candidates.letterbox.side) ** 2
    return pick(masks, candidates.predicted_iou, disc, shown, picture, settings)


def pick(
    masks: NDArray[np.bool_],
    predicted_iou: Floats,
    disc: Floats,
    shown: Floats | NDArray[np.bool_] | None,
    picture: float,
    settings: ChoiceSettings | None = None,
) -> Choice:
    """Choose one of (K, h, w) masks on any grid; `disc` and `shown` (h, w) are on the same, `picture` is its area."""
    weigh = settings or ChoiceSettings()
    score, agreement = _scored(masks, predicted_iou, disc, shown, picture, weigh)
    index = int(np.argmax(score))
    predicted = min(max(float(predicted_iou[index]), 0.0), 1.0)
    agreed = None if agreement is None else float(agreement[index])
    return Choice(index, predicted * (1.0 if agreed is None else agreed), agreed)


def _scored(
    masks: NDArray[np.bool_],
    predicted_iou: Floats,
    disc: Floats,
    shown: Floats | NDArray[np.bool_] | None,
    picture: float,
    weigh: ChoiceSettings,
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


def vote(
    answers: Sequence[Candidates],
    point_px: tuple[float, float],
    radius_px: float,
    shown: Floats | None = None,
    settings: ChoiceSettings | None = None,
) -> tuple[int, Choice]:
    """Choose among the candidates of several points within the gaze's error disc on one keyframe: (answer, choice).

    A mask is supported by the other points to the degree that each of them offers one like it: the mean over points of
    the best IoU times predicted IoU. `Choice.confidence` is this support: of all that was tried it follows the true
    IoU best (rank correlation 0.63 on six clips, against 0.56 for the predicted IoU). The masks themselves are no
    better than those of one point, so that a vote is worth its decodes only where that confidence is.
    """
    weigh = settings or ChoiceSettings()
    box = answers[0].letterbox
    # Every other logit is enough to compare by.
    masks = np.stack([answer.logits[:, ::2, ::2] > 0 for answer in answers])
    points, kinds, side = masks.shape[0], masks.shape[1], masks.shape[-1]
    disc = gaze_disc(point_px, radius_px, box, side)
    picture = box.content_size[0] * box.content_size[1] * (side / box.side) ** 2
    seen = None if shown is None else np.asarray(shown[::2, ::2], np.float32)
    scored = [
        _scored(mask, answer.predicted_iou, disc, seen, picture, weigh)
        for mask, answer in zip(masks, answers, strict=True)
    ]
    predicted = np.clip(np.concatenate([answer.predicted_iou for answer in answers]), 0.0, 1.0)
    flat = masks.reshape(points * kinds, -1).astype(np.float32)
    common, area = flat @ flat.T, flat.sum(1)
    alike = common / np.maximum(area[:, None] + area[None] - common, 1e-6)
    support = (alike * predicted).reshape(-1, points, kinds).max(2).mean(1)
    best = int(np.argmax(np.concatenate([score for score, _ in scored]) + weigh.support * support))
    answer, index = divmod(best, kinds)
    agreement = scored[answer][1]
    agreed = None if agreement is None else float(agreement[index])
    return answer, Choice(index, float(support[best]), agreed)
