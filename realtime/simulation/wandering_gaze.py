"""Simulates plausible gaze for a clip without recorded gaze, for demos and tests. Pure.

It fixates for 0.3 to 1.5 s, pursues the fixated corners by sparse Lucas-Kanade flow, and jumps to corners that are
salient (spectral residual, Hou & Zhang, CVPR 2007) or move differently from the rest. It uses no model and knows no
objects, so it does not represent human gaze.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from engines import Image

SIDE_PX = 320
"""Longer side of the scaled-down picture; other lengths in px are of that."""
FIXATION_S = (0.3, 1.5)
_NEAR_PX = 32.0
_SAME_FLOW_PX = 1.0
_MIN_POINTS = 5
_MARGIN = 0.04

Points = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class GazeAim:
    """A point of fixation, frame pixels, and whether the eyes jumped there since the previous frame."""

    x: float
    y: float
    jumped: bool


class WanderingGaze:
    """Chooses a point of fixation for each frame of a clip, in order."""

    def __init__(self, seed: int = 0) -> None:
        self._random = np.random.default_rng(seed)
        self._before: NDArray[np.uint8] | None = None
        self._points: Points = np.zeros((0, 2), np.float32)
        self._aim: NDArray[np.float64] | None = None
        self._until_s = 0.0

    def choose_aim(self, image: Image, at_s: float) -> GazeAim:
        """Choose the aim in `image`, which is shown `at_s` seconds into the clip."""
        height, width = image.shape[:2]
        scale = SIDE_PX / max(width, height)
        size = max(16, round(width * scale)), max(16, round(height * scale))
        small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        grey = np.asarray(cv2.cvtColor(small, cv2.COLOR_BGR2GRAY), np.uint8)
        before = self._before if self._before is not None and self._before.shape == grey.shape else None
        self._before = grey
        jumped = before is None or not self._follow(before, grey) or at_s >= self._until_s
        if jumped or self._aim is None:
            self._aim = self._jump(before, grey)
            self._until_s = at_s + float(self._random.uniform(*FIXATION_S))
        return GazeAim(float(self._aim[0] * width / size[0]), float(self._aim[1] * height / size[1]), jumped)

    def _follow(self, before: NDArray[np.uint8], grey: NDArray[np.uint8]) -> bool:
        """Move the aim with the corners around it; False when these are lost."""
        if len(self._points) < _MIN_POINTS or self._aim is None:
            return False
        flow, found = _flow(before, grey, self._points)
        if found.sum() < _MIN_POINTS:
            return False
        shift = np.median(flow[found], axis=0)
        found &= np.linalg.norm(flow - shift, axis=1) < 2 * _SAME_FLOW_PX
        self._points = (self._points + flow)[found]
        self._aim = self._aim + shift
        room = np.array(grey.shape[::-1])
        return bool((self._aim > _MARGIN * room).all() and (self._aim < (1 - _MARGIN) * room).all())

    def _jump(self, before: NDArray[np.uint8] | None, grey: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Jump to a cluster of corners that is salient and moves as one."""
        room = np.array(grey.shape[::-1])
        corners = cv2.goodFeaturesToTrack(grey, 200, 0.01, 6)
        if corners is None or len(corners) < _MIN_POINTS:
            self._points = np.zeros((0, 2), np.float32)
            return room * self._random.uniform(0.3, 0.7, 2)
        points = np.asarray(corners, np.float32).reshape(-1, 2)
        flow = np.zeros_like(points)
        if before is not None:
            flow, found = _flow(grey, before, points)
            flow[~found] = np.median(flow, axis=0)
        moves = np.minimum(np.linalg.norm(flow - np.median(flow, axis=0), axis=1), 6.0)
        salient = _spectral_residual(grey)[tuple(points.astype(int).T[::-1])]
        weight = (0.1 + salient) * (0.5 + moves)
        weight *= np.exp(-2.0 * (np.abs(points / room - 0.5).max(axis=1) * 2) ** 4)  # eyes keep off the edge
        if self._aim is not None:  # and do not return at once
            weight *= 1.02 - np.exp(-(np.linalg.norm(points - self._aim, axis=1) ** 2) / (2 * 40.0**2))
        seed = int(self._random.choice(len(points), p=weight**2 / (weight**2).sum()))
        aim = np.asarray(points[seed], np.float64)
        together = np.linalg.norm(flow - flow[seed], axis=1) < _SAME_FLOW_PX
        for _ in range(4):  # mean shift: corners lie on an object's outline, eyes rest inside it
            near = together & (np.linalg.norm(points - aim, axis=1) < _NEAR_PX)
            if not near.any():
                break
            self._points, aim = points[near], np.average(points[near], axis=0, weights=0.5 + moves[near])
        return aim


def _flow(a: NDArray[np.uint8], b: NDArray[np.uint8], points: Points) -> tuple[Points, NDArray[np.bool_]]:
    """Return ((N, 2) displacement of the points from picture a to b, (N,) whether it was found)."""
    moved, status, _ = cv2.calcOpticalFlowPyrLK(a, b, points.reshape(-1, 1, 2), points.reshape(-1, 1, 2).copy())
    found = np.asarray(status).reshape(-1).astype(bool)
    flow = np.asarray(moved, np.float32).reshape(-1, 2) - points
    return np.where(found[:, None], flow, 0).astype(np.float32), found


def _spectral_residual(grey: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Compute the saliency of each pixel, 0..1: the residual of a smooth log amplitude spectrum."""
    spectrum = np.fft.fft2(cv2.resize(grey, (64, 64), interpolation=cv2.INTER_AREA).astype(np.float64))
    amplitude = np.log(np.abs(spectrum) + 1e-9)
    residual = amplitude - cv2.blur(amplitude, (3, 3))
    saliency = np.abs(np.fft.ifft2(np.exp(residual + 1j * np.angle(spectrum)))) ** 2
    smooth = cv2.resize(cv2.GaussianBlur(saliency, (9, 9), 2.5), grey.shape[::-1])
    return np.asarray(smooth / max(float(smooth.max()), 1e-12), np.float64)
