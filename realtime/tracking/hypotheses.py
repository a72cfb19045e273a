"""Clusters the candidates of several prompts on a keyframe into hypotheses: objects that may be meant. Pure.

Everything is measured on the keyframe's grid: the part of the logits that the picture fills, coarsened to at most about
128 columns, where a hypothesis costs less than a millisecond.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from engines import Floats, MaskCandidates
from engines.base import STABILITY_OFFSET
from realtime.tracking.motion.common_fate import measure_common_fate
from realtime.types import Mask

MAX_GRID_PIXELS = 128 * 128
SAME_IOU = 0.8
"""Candidates with at least this IoU are one hypothesis."""
MIN_PIXELS = 4
"""Smaller masks on the grid are no object."""
MAX_LOGIT = 6.0
"""Log-odds at which a candidate is certain of a pixel, where several are averaged."""
MIN_RATIO = 1e-3
"""Floor of the likelihood ratio of a gaze point far from a mask."""
GROSS_SHARE, GROSS_SCALE = 0.3, 2.0
"""Share of gaze points with a gross error, and how many times the usual deviation that is; the contaminated normal
distribution of Tukey, "A survey of sampling from contaminated distributions", 1960. Only for a mask of a box that the
user's word fits, which speaks for it beside the gaze; for all masks it gains nothing at small errors."""


@dataclass(frozen=True, slots=True, eq=False)
class Hypothesis:
    """An object that may be meant, for which one of its candidates stands.

    candidates, index: that candidate. point_px: the prompt that gave it, in the keyframe.
    mask: (h, w) bool, it on the keyframe's grid. level: its granularity, 0 part to 2 whole, if known.
    stability: mean stability score of the cluster. support: share of prompts that offer such a mask, 0..1, by IoU; 1
        for that of a box which the word fits, as points round a gaze with an error say nothing against it.
    first_share, whole_share: shares of the cluster that are SAM's first mask, and its largest of three.
    gaze_log_ratio: log-likelihood of the gaze point if this object is fixated, over that of any point of the picture.
        Fixations are assumed to be distributed over an object as the distance from its edge, because people fixate
        objects near their centres (Nuthmann & Henderson, "Object-based attentional selection in scene viewing",
        Journal of Vision 2010), and blurred by the gaze's error.
    fate: common fate, 0..1. word: how well the user's word fits the mask, 0..1; 0 without a word.
    prompt_index: which of the prompts gave it. members: candidates of its cluster, and the index of each.
    """

    candidates: MaskCandidates = field(repr=False)
    index: int
    point_px: tuple[float, float]
    mask: Mask = field(repr=False)
    level: int | None
    stability: float
    support: float
    first_share: float
    whole_share: float
    gaze_log_ratio: float
    fate: float = 0.0
    word: float = 0.0
    prompt_index: int = 0
    members: tuple[tuple[MaskCandidates, int], ...] = field(default=(), repr=False)

    @property
    def area_share(self) -> float:
        """The mask's share of the picture."""
        return np.count_nonzero(self.mask) / self.mask.size

    def average(self) -> Hypothesis:
        """Average the log-odds of the cluster's candidates: they err differently along the edge."""
        if len(self.members) < 2:
            return self
        logits = self.candidates.logits.copy()
        parts = (np.clip(each.logits[k], -MAX_LOGIT, MAX_LOGIT) for each, k in self.members)
        logits[self.index] = sum(parts) / len(self.members)
        return replace(self, candidates=replace(self.candidates, logits=logits), members=())


def make_hypotheses(
    answers: Sequence[tuple[tuple[float, float], MaskCandidates]],
    gaze_px: tuple[float, float],
    deviation_px: float,
    displacements: Sequence[Floats] = (),
    *,
    named: Sequence[tuple[tuple[float, float], MaskCandidates]] = (),
    score_word: Callable[[NDArray[np.bool_]], Floats] | None = None,
) -> list[Hypothesis]:
    """Cluster the candidates of some prompts on one keyframe; at least one hypothesis where there is a candidate.

    answers: point and candidates of each prompt by gaze. named: the same of boxes that a word fits, which are
    candidates but do not support others. score_word: scores (K, h, w) masks by that word, 0..1.
    gaze_px, deviation_px: the gaze in the keyframe, and its error, one standard deviation.
    displacements: (h, w, 2) from the keyframe to earlier frames, on any grid and in its pixels.
    """
    prompts = [*answers, *named]
    logits = np.stack([_cut_to_grid(candidates) for _, candidates in prompts])  # (prompts, K, h, w)
    masks = logits > 0
    count = masks.shape[1]
    flat = masks.reshape(-1, *masks.shape[2:])
    overlap = compute_overlap(flat, flat)
    best = overlap.reshape(len(flat), len(prompts), count)
    predicted = np.clip(np.stack([candidates.predicted_iou for _, candidates in prompts]), 0.0, 1.0)
    inner, outer = ((logits > cut).sum((2, 3)).ravel() for cut in (STABILITY_OFFSET, -STABILITY_OFFSET))
    stability = inner / np.maximum(outer, 1)
    support = best[:, : len(answers)].max(2).mean(1)
    levels = [level for each in masks for level in rank_levels(each)]
    is_first = np.array([count > 1 and k % count == 0 for k in range(len(flat))])
    is_whole = np.array([count > 1 and k % count == count - 1 for k in range(len(flat))])
    at_grid = answers[0][1], flat.shape[1:]
    gaze = _GazeDensity(gaze_px, {deviation_px: 1.0}, *at_grid)
    mixture = {deviation_px: 1 - GROSS_SHARE, GROSS_SCALE * deviation_px: GROSS_SHARE}
    named_gaze = _GazeDensity(gaze_px, mixture, *at_grid) if named else gaze
    motions = [resample_displacement(displacement, flat.shape[1:]) for displacement in displacements]
    clusters = _cluster(overlap, (best * predicted).max(2).mean(1) + 0.2 * stability, flat.sum((1, 2)), count)
    found = []
    for k, members in clusters:
        point_px, candidates = prompts[k // count]
        is_named = bool((members >= len(answers) * count).any())
        found.append(
            Hypothesis(
                candidates, k % count, point_px, flat[k], levels[k], float(stability[members].mean()),
                1.0 if is_named else float(support[k]),
                float(is_first[members].mean()), float(is_whole[members].mean()),
                (named_gaze if is_named else gaze).log_ratio(flat[k]), _measure_fate(flat[k], motions),
                prompt_index=k // count,
                members=tuple((prompts[each // count][1], each % count) for each in members.tolist()),
            )
        )  # fmt: skip
    if score_word is not None and found:
        scores = score_word(np.stack([each.mask for each in found])).tolist()
        found = [replace(each, word=score) for each, score in zip(found, scores, strict=True)]
    return found


def keyframe_masks(candidates: MaskCandidates) -> NDArray[np.bool_]:
    """Cut (K, h, w) masks on the keyframe's grid from the logits."""
    return np.asarray(_cut_to_grid(candidates) > 0)


def _cut_to_grid(candidates: MaskCandidates) -> Floats:
    """Cut the (K, h, w) logits of the keyframe's grid."""
    width, height = candidates.letterbox.content_size
    step = candidates.logits.shape[-1] / candidates.letterbox.side
    rows, columns = max(1, round(height * step)), max(1, round(width * step))
    every = math.ceil(math.sqrt(rows * columns / MAX_GRID_PIXELS))
    return candidates.logits[:, :rows:every, :columns:every]


def rank_levels(masks: NDArray[np.bool_]) -> tuple[int | None, ...]:
    """Rank the granularity of (K, h, w) candidates by area, 0 part to 2 whole; None for SAM's first of four."""
    if len(masks) < 2:
        return (None,) * len(masks)
    order = np.argsort([np.count_nonzero(mask) for mask in masks[1:]], kind="stable")
    ranks = np.empty(len(order), int)
    ranks[order] = np.arange(len(order))
    return (None, *ranks.tolist())


def compute_overlap(masks: NDArray[np.bool_], others: NDArray[np.bool_]) -> Floats:
    """Compute the (N, M) IoU of (N, h, w) and (M, h, w) masks; 0 for empty ones."""
    one = masks.reshape(len(masks), -1).astype(np.float32)
    two = one if others is masks else others.reshape(len(others), -1).astype(np.float32)
    common = one @ two.T
    return np.asarray(common / np.maximum(one.sum(1)[:, None] + two.sum(1) - common, 1), np.float32)


def _cluster(
    overlap: Floats, rank: Floats, areas: NDArray[np.int64], count: int
) -> list[tuple[int, NDArray[np.int64]]]:
    """Cluster masks greedily by IoU, the highest rank first: (representative, members) of each cluster.

    The best of the first `count`, those of the gaze's own prompt, stands for its cluster: the shown mask must not
    change when the other prompts are known.
    """
    is_left = areas >= min(MIN_PIXELS, int(areas.max()))
    clusters = []
    for k in np.argsort(-rank, kind="stable").tolist():
        if is_left[k]:
            members = np.flatnonzero(is_left & ((overlap[k] >= SAME_IOU) | (np.arange(len(areas)) == k)))
            is_left[members] = False
            own = members[members < count]
            clusters.append((int(own[np.argmax(rank[own])]) if len(own) else k, members))
    return clusters


def resample_displacement(displacement: Floats, shape: tuple[int, ...]) -> Floats:
    """Resample an (h, w, 2) displacement to another grid of the same picture, in the pixels of that grid."""
    height, width = shape
    scale = np.array([width / displacement.shape[1], height / displacement.shape[0]], np.float32)
    return np.asarray(cv2.resize(displacement, (width, height), interpolation=cv2.INTER_LINEAR) * scale, np.float32)


def _measure_fate(mask: Mask, displacements: Sequence[Floats]) -> float:
    """Measure the mean common fate over several times, by displacements on the mask's grid."""
    fates = [float(measure_common_fate(mask[None], displacement)[0]) for displacement in displacements]
    return float(np.mean(fates)) if fates else 0.0


class _GazeDensity:
    """The density of the true gaze point on the keyframe's grid, a mixture of normal ones."""

    def __init__(
        self,
        gaze_px: tuple[float, float],
        deviations_px: dict[float, float],
        candidates: MaskCandidates,
        shape: tuple[int, ...],
    ) -> None:
        """deviations_px: of each part of the mixture, with its share."""
        sides = candidates.letterbox.width, candidates.letterbox.height
        self._parts: list[tuple[float, Floats, Floats]] = []
        for deviation, share in deviations_px.items():
            columns, rows = (
                _normal((place + 0.5) * count / side - 0.5, deviation * count / side, count)
                for place, count, side in zip(gaze_px, shape[::-1], sides, strict=True)
            )
            self._parts.append((share, columns, rows))

    def log_ratio(self, mask: Mask) -> float:
        """Compute `Hypothesis.gaze_log_ratio` of a mask."""
        rim = cv2.copyMakeBorder(mask.astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
        depth = np.asarray(cv2.distanceTransform(rim, cv2.DIST_L2, 3)[1:-1, 1:-1], np.float32)
        mean = float(depth.mean())
        density = sum(share * float(rows @ depth @ columns) for share, columns, rows in self._parts)
        return math.log(density / mean + MIN_RATIO) if mean else math.log(MIN_RATIO)


def _normal(centre: float, deviation: float, count: int) -> Floats:
    """Make a (count,) normal density of sum 1; a centre far outside counts as the border."""
    at = np.arange(count) - min(max(centre, 0.0), count - 1.0)
    weights = np.exp(-0.5 * (at / max(deviation, 0.5)) ** 2)
    return np.asarray(weights / weights.sum(), np.float32)
