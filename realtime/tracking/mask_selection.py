"""Scores hypotheses about the object that is meant, and remembers them from keyframe to keyframe. Pure.

A hypothesis is an object that several prompts agree on. Its evidence is a linear score of a few measures on the
keyframe's own grid; what an earlier keyframe made of the same place is its prior. Both give one posterior, once a
keyframe, whose best hypothesis is shown.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from engines import Floats
from realtime.tracking.candidate_ranker import FEATURES, CandidateRanker, measure_features, read_ranker
from realtime.tracking.hypotheses import Hypothesis, compute_overlap, resample_displacement
from realtime.tracking.keyframe import Keyframe
from realtime.tracking.motion.flow_chain import pixel_grid
from realtime.tracking.setting_checks import check_settings

MEMORY_FLOOR = 0.1
"""The prior of an object that no earlier hypothesis overlaps."""
FOLLOWED_IOU = 0.5
"""A hypothesis that overlaps the carried choice of the user by this IoU is followed."""
CONFIDENCE_SLOPE, CONFIDENCE_OFFSET, TRUST_EXPONENT = 0.86, -4.7, 2.3
"""Of the logistic map from evidence and trust in motion to confidence, for the default weights. Fitted as they were, on
the stills and on every mask of the clips with encoders of 4 and 8 frames; left out, the calibration error is 0.05."""


WORD_TRUST = 0.4
"""Share of the word's odds that confidence has. What a word says beside the gaze decides between objects; that the mask
is right it makes less probable than its weight: fitted as above, calibration errors are those without a word."""
MAX_ALTERNATIVES = 3


@dataclass(frozen=True, slots=True)
class SelectionSettings:
    """Weights of the evidence, in natural log-odds.

    Fitted on 120 objects of 40 stills and on six clips, leaving out one clip and an eighth of the stills in turn; the
    decoder's predicted IoU adds nothing beside them.

    stability: weight of the stability score, 0..1.
    support: weight of the share of points within the gaze's error whose best mask agrees, 0..1.
    area: weight of the log share of the picture.
    runaway_area: share of the picture above which a mask is considered background.
    runaway: penalty for that.
    first: weight of being SAM's mask for unambiguous prompts, 0..1.
    whole: weight of being SAM's last of three masks, usually the whole, 0..1.
    coverage: weight of the log-likelihood of the gaze point, see `Hypothesis.gaze_log_ratio`.
    gaze_radii: error of the gaze for that likelihood, in error radii, one standard deviation; the error radius is an
        average, and wearable trackers are often off by more.
    fate: weight of the change of motion along the edge, see `realtime.tracking.motion.common_fate.measure_common_fate`.
    fate_s: times over which that motion is measured, s; what an object does in one of them alone counts less.
    word: weight of the log-likelihood of the user's word, see `word_slip`; chosen on half of the stills and one draw of
        the gaze's error, for words that are right, of something that is not in the picture, and of another object.
    word_slip: share of words that mean something else than they name, or a mask that no box fits. A mask that the word
        fits with a score s is 1 + s / word_slip times as probable, to the power of the weight, as one that it does not.
    agreement: weight of the log prior by the earlier keyframe.
    decided: posterior probability of the best hypothesis from which on no more points are prompted for it.
    alternatives: number of other masks that may be meant to publish with every mask, at most 3; 0 for none.
    ranker: weights that `gazecast learn` learned, which replace those of the evidence above, as --adapter sets them;
        empty for none.
    """

    stability: float = 2.8
    support: float = 1.6
    area: float = 1.4
    runaway_area: float = 0.4
    runaway: float = 1.0
    first: float = 0.55
    whole: float = 0.7
    coverage: float = 1.9
    gaze_radii: float = 2.3
    fate: float = 3.1
    fate_s: tuple[float, ...] = (0.125, 0.33)
    word: float = 2.25
    word_slip: float = 0.2
    agreement: float = 1.0
    decided: float = 0.7
    alternatives: int = 0
    ranker: str = ""

    def __post_init__(self) -> None:
        """Check every setting, and the ranker."""
        check_settings(self, shares=("runaway_area", "word_slip"))
        if not 0 <= self.alternatives <= MAX_ALTERNATIVES:
            raise ValueError(f"alternatives must be 0 to {MAX_ALTERNATIVES}, got {self.alternatives}")
        if self.ranker:
            read_ranker(self.ranker)


@dataclass(frozen=True, slots=True, eq=False)
class Belief:
    """The posterior over what is meant on one keyframe.

    hypotheses: most probable first. evidence: (N,) for each, natural log-odds on the
    scale of `calibrate`. probabilities: (N,), the posterior, of
    sum 1: relative to each other.
    is_chosen: the user chose the first one, so that the next keyframe follows it alone.
    """

    keyframe: Keyframe
    hypotheses: tuple[Hypothesis, ...]
    evidence: NDArray[np.float64]
    probabilities: NDArray[np.float64]
    is_chosen: bool = False

    @property
    def confidence(self) -> float:
        """The probability that the first hypothesis is right, 0..1."""
        return calibrate(float(self.evidence[0]))

    def find_alternative(self, step: int) -> int | None:
        """Find the hypothesis that is so many ranks less (1) or more (-1) probable than the first; None without one."""
        ranked = np.argsort(-self.probabilities, kind="stable")[: MAX_ALTERNATIVES + 1].tolist()
        if len(ranked) < 2:
            return None
        return int(ranked[((ranked.index(0) if 0 in ranked else 0) + step) % len(ranked)])

    def choose(self, index: int) -> Belief:
        """Choose one hypothesis for the user; the others keep their order."""
        order = [index, *(k for k in range(len(self.hypotheses)) if k != index)]
        hypotheses = tuple(self.hypotheses[k] for k in order)
        return replace(
            self, hypotheses=hypotheses, evidence=self.evidence[order], probabilities=self.probabilities[order],
            is_chosen=True,
        )  # fmt: skip


def calibrate(evidence: float) -> float:
    """Map a hypothesis's evidence to the share of such masks that are right, 0..1.

    Right is an IoU of at least 0.5 with the object meant. The lead over the other hypotheses adds nothing to it: often
    none of them is right.
    """
    return 0.5 + 0.5 * math.tanh(0.5 * (CONFIDENCE_SLOPE * evidence + CONFIDENCE_OFFSET))


def discount(confidence: float, trust: float) -> float:
    """Lower the confidence in a mask by the trust in the motion that carried it, 0..1."""
    odds = confidence * trust**TRUST_EXPONENT
    return odds / (odds + (1 - confidence)) if odds else 0.0  # in this order, or tiny odds vanish


def make_ranker(settings: SelectionSettings) -> CandidateRanker:
    """Make the ranker in force: the learned one, or one of the weights of the settings."""
    if settings.ranker:
        return read_ranker(settings.ranker)
    use = settings
    weights = {
        "stability": use.stability, "support": use.support, "log_area": use.area, "runaway": -use.runaway,
        "first": use.first, "whole": use.whole, "gaze": use.coverage, "fate": use.fate,
    }  # fmt: skip
    return CandidateRanker(
        tuple(weights.get(name, 0.0) for name in FEATURES), slope=CONFIDENCE_SLOPE, offset=CONFIDENCE_OFFSET
    )


def compute_evidence(hypotheses: Sequence[Hypothesis], settings: SelectionSettings) -> NDArray[np.float64]:
    """Compute the (N,) evidence for each hypothesis without the word, in natural log-odds."""
    if settings.ranker:
        return read_ranker(settings.ranker).score(measure_features(hypotheses, settings.runaway_area))
    return np.array(
        [
            settings.stability * each.stability
            + settings.support * each.support
            + settings.area * np.log(max(each.area_share, 1e-6))
            - settings.runaway * (each.area_share > settings.runaway_area)
            + settings.first * each.first_share
            + settings.whole * each.whole_share
            + settings.coverage * each.gaze_log_ratio
            + settings.fate * each.fate
            for each in hypotheses
        ]
    )


def _scale_evidence(evidence: NDArray[np.float64], settings: SelectionSettings) -> NDArray[np.float64]:
    """Scale a learned ranker's evidence so that `calibrate` maps it to that ranker's own confidence."""
    if not settings.ranker:
        return evidence
    ranker = read_ranker(settings.ranker)
    return (ranker.slope * evidence + ranker.offset - CONFIDENCE_OFFSET) / CONFIDENCE_SLOPE


def update_belief(
    keyframe: Keyframe,
    hypotheses: Sequence[Hypothesis],
    settings: SelectionSettings,
    prior: Belief | None = None,
    displacement: Floats | None = None,
) -> Belief:
    """Compute the posterior over the hypotheses of a keyframe. hypotheses: at least one.

    prior: the belief on an earlier keyframe, if the gaze has not left its object; displacement: (h, w, 2) from this
    keyframe back to that one, in its own pixels, on any grid. Without it the prior is unknown.
    """
    word = np.array([settings.word * math.log1p(each.word / settings.word_slip) for each in hypotheses])
    evidence = compute_evidence(hypotheses, settings)
    score, evidence = evidence + word, _scale_evidence(evidence, settings) + WORD_TRUST * word
    followed: int | None = None
    if prior is not None and displacement is not None:
        masks = np.stack([each.mask for each in hypotheses])
        overlap = compute_overlap(carry_masks(prior, displacement, masks.shape[1:]), masks)
        if prior.is_chosen:
            followed = int(np.argmax(overlap[0])) if overlap[0].max() >= FOLLOWED_IOU else None
        else:
            score = score + settings.agreement * np.log(MEMORY_FLOOR + prior.probabilities @ overlap)
    order = np.argsort(-score, kind="stable")
    odds = np.exp(score[order] - score[order[0]])
    belief = Belief(keyframe, tuple(hypotheses[k] for k in order), evidence[order], odds / odds.sum())
    return belief if followed is None else belief.choose(order.tolist().index(followed))


def carry_masks(belief: Belief, displacement: Floats, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Carry a belief's masks to a newer keyframe's grid of `shape`: (N, h, w)."""
    height, width = shape
    at = pixel_grid((height, width)) + resample_displacement(displacement, shape)
    masks = []
    for each in belief.hypotheses:
        mask = each.mask.astype(np.uint8)
        if mask.shape != (height, width):
            mask = np.asarray(cv2.resize(mask, (width, height), interpolation=cv2.INTER_NEAREST))
        # The stubs do not know that the second map may be empty.
        masks.append(cv2.remap(mask, at, None, cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE) > 0)  # type: ignore[call-overload]
    return np.array(masks)
