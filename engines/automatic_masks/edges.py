"""Detects the edges of a picture from the masks of a grid of clicks.

Method: Kirillov et al., "Segment Anything", ICCV 2023, appendix D.2. The masks of 16 x 16 clicks, three each, without
duplicates but unfiltered; the Sobel filter of each one's unthresholded probabilities, kept along the mask's outer
boundary; the pixelwise maximum, scaled to 0..1; and edge non-maximum suppression.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Iterable

import cv2
import numpy as np

from engines.automatic_masks.generate import CropPass, GenerationStep, collect_masks
from engines.automatic_masks.quality import QUALITY_SIDE, logits_window
from engines.automatic_masks.settings import AutomaticSettings
from engines.base import LOGITS_SIDE, Decoder, Encoder, Floats, Image, check_image
from engines.letterbox import Letterbox

EDGE_SETTINGS = AutomaticSettings(points_per_side=16, least_predicted_iou=0, least_stability=0)
MARGIN_PX = 3
"""The outer boundary, and the pixels that the Sobel filter reads beyond it."""
SMOOTH: Floats = np.array([0.25, 0.5, 0.25], np.float32)
RIDGE: Floats = np.array([1, 2, 3, 4, 5, 4, 3, 2, 1], np.float32) / np.float32(25)
"""Triangle filters, before the suppression and for its directions, as in Dollar and Zitnick's code."""
PREFERENCE = 1.01
"""An edge is suppressed where a neighbour across it is stronger than this times as strong."""
EdgeSteps = Generator[GenerationStep, None, Floats]
"""Yields a step for every batch of clicks and returns the edges. Closing it cancels."""


def detect_edges(
    encoder: Encoder, decoder: Decoder, image: Image, settings: AutomaticSettings = EDGE_SETTINGS
) -> EdgeSteps:
    """Detect the edges of a (H, W, 3) uint8 BGR picture: (H, W) float32, 0 to 1 on lines one pixel wide, else 0.

    The first step precedes the encoding. Crops of the settings are ignored.
    """
    check_image(image)
    size, side = (image.shape[1], image.shape[0]), settings.points_per_side
    yield GenerationStep(0, side**2, 0)
    embedding = encoder.encode(image)
    frame = _shrink(embedding.letterbox)
    margin = math.ceil(MARGIN_PX * max(frame.scale) * LOGITS_SIDE / frame.side) + 1
    part = CropPass((0, 0, *size), size, side, 0, side**2)
    kept = yield from collect_masks(decoder, embedding, part, settings, margin)
    strength = measure_edges((one.cells.logits() for one in kept), frame)
    thin = thin_edges(np.asarray(cv2.resize(strength, size, interpolation=cv2.INTER_LINEAR), np.float32))
    return np.asarray(thin / max(float(thin.max()), 1e-6), np.float32)


def _shrink(letterbox: Letterbox) -> Letterbox:
    """Shrink the picture to `QUALITY_SIDE`, as the logits hold no more."""
    shrink = min(1.0, QUALITY_SIDE / max(letterbox.width, letterbox.height))
    width, height = (max(1, round(side * shrink)) for side in (letterbox.width, letterbox.height))
    return Letterbox(width, height, picture_side=letterbox.picture_side)


def measure_edges(masks: Iterable[Floats], letterbox: Letterbox) -> Floats:
    """Measure the strength of edges: the greatest gradient of a mask's probability on its outer boundary.

    masks: (256, 256) logits of each. Returns (height, width) float32 of the letterbox's picture.
    """
    strength = np.zeros((letterbox.height, letterbox.width), np.float32)
    for logits in masks:
        x0, y0, x1, y1 = logits_window(logits, letterbox, 0.0)
        x0, y0 = max(0, x0 - MARGIN_PX), max(0, y0 - MARGIN_PX)
        x1, y1 = min(letterbox.width, x1 + MARGIN_PX), min(letterbox.height, y1 + MARGIN_PX)
        fine = letterbox.logits_to_picture(logits, (x0, y0, x1, y1))
        probability = 1 / (1 + np.exp(-np.clip(fine, -32, 32)))
        across, down = (
            cv2.Sobel(probability, cv2.CV_32F, dx, 1 - dx, borderType=cv2.BORDER_REPLICATE) for dx in (1, 0)
        )
        inside = (fine > 0).astype(np.uint8)
        is_outer = cv2.dilate(inside, np.ones((3, 3), np.uint8)) > inside
        part = strength[y0:y1, x0:x1]
        np.maximum(part, cv2.magnitude(across, down), out=part, where=is_outer)
    return strength


def thin_edges(strength: Floats) -> Floats:
    """Smooth the strength a little and keep it where it is greatest across the edge's direction, elsewhere 0.

    Canny's non-maximum suppression, as edges are evaluated: neighbours at a distance of one pixel, interpolated, in the
    direction of the greatest curvature (Dollar and Zitnick, "Fast Edge Detection Using Structured Forests", 2015).
    """
    smooth = _filter(strength, SMOOTH)
    rows, columns = np.nonzero(smooth)
    angle = _measure_normals(smooth)[rows, columns]
    own, across, down = smooth[rows, columns], np.cos(angle), np.sin(angle)
    stays = np.ones(len(rows), bool)
    for sign in (-1, 1):
        stays &= own * PREFERENCE >= _interpolate(smooth, columns + sign * across, rows + sign * down)
    thin = np.zeros_like(smooth)
    thin[rows[stays], columns[stays]] = own[stays]
    return thin


def _filter(values: Floats, kernel: Floats) -> Floats:
    return np.asarray(cv2.sepFilter2D(values, cv2.CV_32F, kernel, kernel, borderType=cv2.BORDER_REFLECT), np.float32)


def _measure_normals(smooth: Floats) -> Floats:
    """Measure the direction of the greatest negative curvature, radians from x to y: across an edge."""
    broad = _filter(smooth, RIDGE)
    xx, yy, xy = (cv2.Sobel(broad, cv2.CV_32F, dx, dy, ksize=3) for dx, dy in ((2, 0), (0, 2), (1, 1)))
    return np.asarray(np.arctan2(-2 * xy, yy - xx) / 2, np.float32)


def _interpolate(values: Floats, x: Floats, y: Floats) -> Floats:
    """Interpolate values at places, bilinear; beyond the border the nearest one."""
    height, width = values.shape
    x, y = np.clip(x, 0, width - 1), np.clip(y, 0, height - 1)
    left, top = np.minimum(x.astype(int), max(0, width - 2)), np.minimum(y.astype(int), max(0, height - 2))
    right, bottom = np.minimum(left + 1, width - 1), np.minimum(top + 1, height - 1)
    dx, dy = x - left, y - top
    upper = values[top, left] * (1 - dx) + values[top, right] * dx
    lower = values[bottom, left] * (1 - dx) + values[bottom, right] * dx
    return np.asarray(upper * (1 - dy) + lower * dy, np.float32)
