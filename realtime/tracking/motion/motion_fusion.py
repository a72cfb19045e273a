"""Carries a mask over many frames at once by several optical flows, between which each pixel's colour decides.

A chain of flow loses what turns, jumps or is hidden for a moment; flow measured anew between both frames loses what
changed too much. Where they differ, the one under which the older picture has the pixel's colour is the better one.
"""

from __future__ import annotations

import cv2
import numpy as np

from engines import Floats
from realtime.tracking.motion.flow_chain import pixel_grid, sample_bilinear
from realtime.tracking.motion.layered_motion import MAX_ODDS, CarriedOdds, FramePair, find_region

FALLOFF = 3.0
"""Of CIELAB distance: a flow that fits worse by so much counts 1 / e."""


def make_flow_estimator() -> cv2.DISOpticalFlow:
    """Make dense inverse search one level finer than its preset; variational refinement costs more than it gains."""
    flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
    flow.setFinestScale(1)
    return flow


class MotionFusion:
    """Fuses the chained flow with flow measured from it and from rest. One thread."""

    def __init__(self) -> None:
        self._flow = make_flow_estimator()

    def carry(self, odds: Floats, pair: FramePair) -> CarriedOdds:
        """Carry (h, w) log-odds of `pair.then` to `pair.now`, `pair.flow` being chained."""
        then, now = pair.greys
        starts = (pair.flow, np.zeros_like(pair.flow))
        flows = [pair.flow, *(np.asarray(self._flow.calc(now, then, start.copy()), np.float32) for start in starts)]
        grid = pixel_grid(odds.shape)
        labels = [np.tanh(sample_bilinear(odds, grid + flow)) for flow in flows]
        out = np.full_like(odds, -MAX_ODDS)
        region = find_region(np.maximum.reduce(labels) > 0)
        if region is None:
            return CarriedOdds(pair.now, out)
        missed = np.stack([_measure_colour_error(pair, flow, region) for flow in flows])
        weights = np.exp((missed.min(0) - missed) / FALLOFF)
        weights /= weights.sum(0)
        size = (region[1].stop - region[1].start, region[0].stop - region[0].start)
        vote = np.zeros(size[::-1], np.float32)
        for weight, label in zip(weights, labels, strict=True):
            vote += cv2.resize(weight, size, interpolation=cv2.INTER_LINEAR) * label[region]
        out[region] = MAX_ODDS * vote
        return CarriedOdds(pair.now, out)


def _measure_colour_error(pair: FramePair, flow: Floats, region: tuple[slice, slice]) -> Floats:
    """Measure the CIELAB distance of a region to the older picture, warped, on half the grid."""
    at = (pixel_grid(flow.shape) + flow)[region]
    half = (max(4, at.shape[1] // 2), max(4, at.shape[0] // 2))
    warped, now = (
        np.asarray(cv2.resize(lab, half, interpolation=cv2.INTER_AREA), np.float32)
        for lab in (sample_bilinear(pair.labs[0], at), pair.labs[1][region])
    )
    return np.asarray(cv2.blur(np.linalg.norm(warped - now, axis=2), (5, 5)), np.float32)
