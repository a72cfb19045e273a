"""Evaluates edges as BSDS500 does: ODS, OIS, AP and R50 over 99 thresholds. Pure but for scipy.

Martin, Fowlkes and Malik, "Learning to Detect Natural Image Boundaries", 2004; the steps are those of Dollar's
`edgesEvalImg`. At each threshold the edges are thinned and matched one to one with each person's boundaries, within
0.0075 of the diagonal. The original minimizes the distance, too (CSA); here it is the largest matching, whose size is
what counts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import maximum_flow
from scipy.spatial import cKDTree

MAX_DISTANCE = 0.0075
THRESHOLDS = np.arange(1, 100) / 100
Mask = NDArray[np.bool_]
Floats = NDArray[np.float64]
Match = Callable[[Mask, Mask, float], tuple[Mask, Mask]]
Counts = NDArray[np.int64]
"""(thresholds, 4): matched and all boundary pixels of all people, matched and all edge pixels."""


@dataclass(frozen=True)
class BoundaryScores:
    """Holds F at the best threshold of all pictures and of each one, average precision, and recall at precision 0.5."""

    ods: float
    ois: float
    ap: float
    r50: float


def count_matches(
    edges: NDArray[np.float32], truths: list[Mask], match: Match | None = None, thresholds: Floats = THRESHOLDS
) -> Counts:
    """Count the pixels that match at every threshold; `match` replaces the matching, for a comparison."""
    match = match or match_pixels
    radius = MAX_DISTANCE * float(np.hypot(*edges.shape))
    counts = np.zeros((len(thresholds), 4), np.int64)
    previous, result = None, None
    for row, threshold in enumerate(thresholds):
        strong = edges >= threshold
        if previous is None or not np.array_equal(strong, previous):
            previous, thin = strong, thin_mask(strong)
            matched, found = np.zeros_like(thin), 0
            for truth in truths:
                ours, theirs = match(thin, truth, radius)
                matched |= ours
                found += int(theirs.sum())
            result = found, sum(int(truth.sum()) for truth in truths), int(matched.sum()), int(thin.sum())
        counts[row] = result
    return counts


def match_pixels(edges: Mask, truth: Mask, radius: float) -> tuple[Mask, Mask]:
    """Match two maps one to one within a radius, px; returns what is matched of each.

    As a flow: scipy's matching needs minutes for some pairs of maps, its flow 10 ms for all.
    """
    out = np.zeros_like(edges), np.zeros_like(truth)
    first, second = np.argwhere(edges), np.argwhere(truth)
    if not len(first) or not len(second):
        return out
    near = cKDTree(first).sparse_distance_matrix(cKDTree(second), radius, output_type="coo_matrix")
    ours, theirs = 1 + np.arange(len(first)), 1 + len(first) + np.arange(len(second))
    source, sink = np.zeros_like(ours), np.full_like(theirs, theirs[-1] + 1)
    begin, end = np.concatenate([source, ours[near.row], theirs]), np.concatenate([ours, theirs[near.col], sink])
    graph = csr_matrix((np.ones(len(begin), np.int32), (begin, end)), (sink[0] + 1,) * 2)
    flow = maximum_flow(graph, 0, sink[0], method="dinic").flow
    flow.eliminate_zeros()
    out[0][tuple(first[flow[[0]].indices - 1].T)] = True
    out[1][tuple(second[flow[[sink[0]]].indices - theirs[0]].T)] = True
    return out


def summarize(pictures: list[Counts]) -> BoundaryScores:
    """Summarize the counts of all pictures."""
    total = np.sum(pictures, 0)
    recall, precision, _ = _rate(total)
    best = np.sum([counts[int(np.argmax(_rate(counts)[2]))] for counts in pictures], 0)
    falling = np.argsort(recall, kind="stable")
    r, p = recall[falling], precision[falling]
    r, first = np.unique(r, return_index=True)
    ap = np.interp(np.linspace(0, 1, 101), r, p[first], left=0, right=0).sum() / 100
    good = recall[precision >= 0.5]
    return BoundaryScores(_best_f(recall, precision), float(_rate(best)[2]), float(ap), float(good.max(initial=0)))


def _rate(counts: Counts) -> tuple[Floats, ...]:
    """Compute recall, precision and F."""
    truth, all_truth, edge, all_edge = np.moveaxis(counts.astype(float), -1, 0)
    recall, precision = truth / np.maximum(all_truth, 1), edge / np.maximum(all_edge, 1)
    return recall, precision, 2 * precision * recall / np.maximum(precision + recall, 1e-9)


def _best_f(recall: Floats, precision: Floats) -> float:
    """Return the best F, also between neighbouring thresholds."""
    share = np.linspace(0, 1, 100)[:, None]
    r, p = (values[1:] * share + values[:-1] * (1 - share) for values in (recall, precision))
    return float((2 * p * r / np.maximum(p + r, 1e-9)).max())


# -- thinning ----------------------------------------------------------------------------------------------------------

_WEIGHTS = np.array([[8, 4, 2], [16, 0, 1], [32, 64, 128]], np.float32)


def _removal_table(is_second: bool) -> Mask:
    """Tabulate which of 256 neighbourhoods a pixel is removed in, by Guo and Hall, "Parallel Thinning", 1989."""
    table = np.zeros(256, bool)
    for code in range(256):
        bits = [bool(code >> place & 1) for place in range(8)]
        crossings = sum(not bits[at] and (bits[at + 1] or bits[(at + 2) % 8]) for at in (0, 2, 4, 6))
        pairs = [sum(bits[at] or bits[(at + step) % 8] for at in (1, 3, 5, 7)) for step in (-1, 1)]
        x = bits[4:] + bits[:4] if is_second else bits
        table[code] = crossings == 1 and min(pairs) in (2, 3) and not ((x[1] or x[2] or not x[7]) and x[0])
    return table


_TABLES = [_removal_table(is_second) for is_second in (False, True)]


def thin_mask(mask: Mask) -> Mask:
    """Thin a mask to lines of one pixel, as MATLAB's bwmorph."""
    thin = mask.astype(np.uint8)
    while True:
        before = int(thin.sum())
        for table in _TABLES:
            code = cv2.filter2D(thin, cv2.CV_32F, _WEIGHTS, borderType=cv2.BORDER_CONSTANT).astype(np.uint8)
            thin[table[code]] = 0
        if int(thin.sum()) == before:
            return thin.astype(bool)
