"""Carries a mask over many frames at once by several optical flows, between which each pixel's colour decides.

A chain of flow loses what turns, jumps or is hidden for a moment; flow measured anew between both frames loses what
changed too much, unless it starts from where the object's own points went. Where they differ, the one under which the
older picture has the pixel's colour is the better one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from engines import Floats
from realtime.tracking.motion.flow_chain import pixel_grid, sample_bilinear
from realtime.tracking.motion.layered_motion import MAX_ODDS, CarriedOdds, FramePair, Region, find_region
from realtime.tracking.motion.point_replay import measure_object_flow
from realtime.tracking.motion.reference_mask import ReferenceMask, fit_affine

FALLOFF = 3.0
"""Of CIELAB distance: a flow that fits worse by so much counts 1 / e."""

YOUNG_FRAMES = 4
"""Over so many frames a chain is about as good as flow that starts from the object's points."""


def make_flow_estimator() -> cv2.DISOpticalFlow:
    """Make dense inverse search one level finer than its preset; variational refinement costs more than it gains."""
    flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
    flow.setFinestScale(1)
    return flow


class MotionFusion:
    """Fuses the chained flow with flow measured anew between both frames, from rest and from the object. One thread."""

    def __init__(self) -> None:
        self._flow = make_flow_estimator()

    def carry(self, reference: ReferenceMask, pair: FramePair, flows: Sequence[Floats]) -> CarriedOdds:
        """Carry the mask of `pair.then` to `pair.now`, `pair.flow` being chained.

        flows: of every frame since `pair.then` to the one before, oldest first.
        """
        grid, out = pixel_grid(pair.flow.shape), np.full_like(reference.odds, -MAX_ODDS)
        guesses = [pair.flow]
        if len(flows) > YOUNG_FRAMES:
            own = measure_object_flow(reference.odds, pair, flows)
            guesses.append(pair.flow if own is None else own)
        near = [reference.odds, *(sample_bilinear(reference.odds, grid + guess) for guess in guesses)]
        region = find_region(np.max(near, 0) > 0)
        if region is None:
            return CarriedOdds(pair.now, out, reference, np.eye(2, 3, dtype=np.float32))
        grid, chained = grid[region], pair.flow[region]
        then, now = (np.ascontiguousarray(grey[region]) for grey in pair.greys)
        starts = [np.zeros_like(chained), *(guess[region].copy() for guess in guesses[1:])]
        ways = [chained, *(np.asarray(self._flow.calc(now, then, start), np.float32) for start in starts)]
        size = (region[1].stop - region[1].start, region[0].stop - region[0].start)
        half = (max(4, size[0] // 2), max(4, size[1] // 2))
        parts = [_shrink(grid + way, half) for way in ways]
        missed = np.stack([_measure_colour_error(pair, part, region) for part in parts])
        weights = np.exp((missed.min(0) - missed) / FALLOFF)
        weights /= weights.sum(0)
        vote = np.zeros(half[::-1], np.float32)
        for weight, part in zip(weights, parts, strict=True):
            vote += weight * np.tanh(sample_bilinear(reference.odds, part))
        out[region] = MAX_ODDS * np.asarray(cv2.resize(vote, size, interpolation=cv2.INTER_LINEAR), np.float32)
        at = _shrink(grid, half)
        fused = sum((weight[..., None] * part for weight, part in zip(weights, parts, strict=True)), -at)
        return CarriedOdds(pair.now, out, reference, fit_affine(at, fused, np.maximum(vote, 0)))


def _shrink(values: NDArray[Any], half: tuple[int, int]) -> NDArray[Any]:
    return np.asarray(cv2.resize(values, half, interpolation=cv2.INTER_AREA))


def _measure_colour_error(pair: FramePair, at: Floats, region: Region) -> Floats:
    """Measure the CIELAB distance of a region to the older picture at `at`, on half the grid."""
    half = at.shape[1], at.shape[0]
    apart = cv2.absdiff(sample_bilinear(pair.labs[0], at), _shrink(pair.labs[1][region], half)).astype(np.float32)
    squares = cv2.transform(apart * apart, np.ones((1, 3), np.float32))
    return np.asarray(cv2.blur(cv2.sqrt(squares), (5, 5)), np.float32)
