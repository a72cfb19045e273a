"""Which mask is meant: of a decoder's candidates, the one that agrees with what was on show while the eyes stay.

SAM answers a point with several masks, from part to whole, and its own ranking flips from frame to frame. Everything
here is on the decoder's low-resolution grid over the keyframe, so that choosing costs well under a millisecond.
"""

from __future__ import annotations

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
    """

    agreement: float = 0.5
    coverage: float = 0.1
    runaway_area: float = 0.4
    runaway: float = 0.5


@dataclass(frozen=True, slots=True)
class Choice:
    """The chosen candidate.

    confidence: 0..1, the predicted IoU times the agreement with what was on show (1 when nothing was).
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
    predicted = np.clip(predicted_iou, 0.0, 1.0)
    flat = masks.reshape(len(masks), -1).astype(np.float32)
    area = flat.sum(1)
    score = predicted + weigh.coverage * (flat @ disc.ravel()) / max(1.0, float(disc.sum()))
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
    index = int(np.argmax(score))
    agreed = None if agreement is None else float(agreement[index])
    return Choice(index, float(predicted[index]) * (1.0 if agreed is None else agreed), agreed)
