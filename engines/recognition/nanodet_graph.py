"""Builds the graph of NanoDet-g, a detector of the 80 objects of COCO, from its published weights.

Source: RangiLyu, NanoDet (2020), configuration nanodet-g: a backbone of cross-stage partial blocks, a path aggregation
neck (PAN) without convolutions of its own, and one convolution for each head, which gives 80 scores and the four sides
of a box as distributions over 0..10 strides (Li et al., "Generalized Focal Loss", 2020).
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto

from engines.base import ModelError
from engines.models.graph_builder import GraphBuilder
from engines.recognition.coco_names import NAMES

STRIDES = (8, 16, 32)
"""Picture pixels between neighbouring cells, of each output level."""
MAX_STRIDES = 10
"""The largest distance from a cell's centre to a side of its box, in strides."""
MEAN_BGR, STD_BGR = (103.53, 116.28, 123.675), (57.375, 57.12, 58.395)
SLOPE = 0.1
Convolution = tuple[NDArray[np.float32], NDArray[np.float32]]


def read_convolutions(manifest: Path, weights: Path) -> list[Convolution]:
    """Read the kernels (out, in, h, w) and biases, in the network's order; raises `ModelError`.

    The files are a TensorFlow.js graph model: a JSON manifest, and half-precision arrays behind each other.
    """
    try:
        entries = json.loads(manifest.read_text())["weightsManifest"][0]["weights"]
        data, at, arrays = weights.read_bytes(), 0, {}
        for entry in entries:
            kind = np.dtype(entry.get("quantization", {}).get("dtype", entry["dtype"]))
            size = int(np.prod(entry["shape"], dtype=int))
            array = np.frombuffer(data, kind, size, at).reshape(entry["shape"])
            arrays[entry["name"].rpartition("/")[2]] = array
            at += array.nbytes
        kernels = [array for name, array in _numbered(arrays, "split") if array.ndim == 4]
        biases = [array for name, array in _numbered(arrays, "unknown_") if array.dtype == np.float16]
    except (OSError, ValueError, KeyError, IndexError, TypeError) as error:
        raise ModelError(f"{weights} is not the detector that is expected ({error}); fetch it again") from error
    if [kernel.shape[-1] for kernel in kernels] != [len(bias) for bias in biases]:
        raise ModelError(f"{weights} is not the detector that is expected: its layers differ; fetch it again")
    return [
        (np.ascontiguousarray(kernel.transpose(3, 2, 0, 1), np.float32), np.asarray(bias, np.float32))
        for kernel, bias in zip(kernels, biases, strict=True)
    ]


def _numbered(arrays: dict[str, NDArray[Any]], prefix: str) -> list[tuple[str, NDArray[Any]]]:
    """Return the arrays named by a prefix and a number, by that number; none is 0."""
    found = [(name, array) for name, array in arrays.items() if re.fullmatch(rf"{prefix}_?\d*", name)]
    return sorted(found, key=lambda item: int(re.sub(r"\D", "", item[0]) or 0))


def build_nanodet(convolutions: Sequence[Convolution], height: int, width: int) -> onnx.ModelProto:
    """Build the graph for pictures of one size, multiples of 32 px.

    Input `picture`: (1, height, width, 3) uint8 BGR. Outputs: `scores` (cells, 80) and `sides` (cells, 4, 11), the
    logits of the distances left, up, right and down of each cell's centre, for the levels of `STRIDES` in turn.
    """
    graph = _NanoDet(convolutions)
    x = graph.normalize(height, width)
    x = graph.add("MaxPool", graph.convolve(x, stride=2), kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    levels = [graph.stage(x, stride=1, pairs=1)]
    for pairs in (2, 2, 3):
        levels.append(graph.stage(levels[-1], stride=2, pairs=pairs))
    graph.detect(graph.aggregate(levels[1:]), height, width)
    return graph.build()


class _NanoDet(GraphBuilder):
    """Adds the blocks of the network, which take their convolutions in turn."""

    def __init__(self, convolutions: Sequence[Convolution]) -> None:
        super().__init__("nanodet")
        self._convolutions, self._next = convolutions, 0

    def normalize(self, height: int, width: int) -> str:
        """Declare the picture and convert it to (1, 3, H, W) of the training's mean and spread."""
        picture = self.add("Cast", self.input("picture", TensorProto.UINT8, 1, height, width, 3), to=TensorProto.FLOAT)
        mean, std = (self.constant(np.array(values, np.float32)) for values in (MEAN_BGR, STD_BGR))
        return self.transpose(self.add("Div", self.add("Sub", picture, mean), std), 0, 3, 1, 2)

    def convolve(self, x: str, *, stride: int = 1, is_linear: bool = False) -> str:
        """Apply the next convolution, which keeps the size but for its stride."""
        kernel, bias = self._convolutions[self._next]
        pad = kernel.shape[2] // 2
        y = self.convolution(x, f"layer_{self._next}", kernel, bias, stride=stride, pads=(pad, pad, pad, pad))
        self._next += 1
        return y if is_linear else self.add("LeakyRelu", y, alpha=SLOPE)

    def stage(self, x: str, *, stride: int, pairs: int) -> str:
        """Add a cross-stage partial block: pairs of convolutions, whose outputs are joined with their inputs."""
        first = x = self.convolve(x, stride=stride)
        for _ in range(pairs):
            before = self.convolve(x)
            x = self.concat(1, self.convolve(before), before)
        return self.concat(1, self.convolve(x), first)

    def aggregate(self, levels: Sequence[str]) -> list[str]:
        """Reduce each level to 128 channels, then add the coarser to the finer, and back."""
        small, middle, large = (self.convolve(level, is_linear=True) for level in levels)
        middle = self.add("Add", middle, self._resize(large, 2.0))
        small = self.add("Add", small, self._resize(middle, 2.0))
        middle = self.add("Add", middle, self._resize(small, 0.5))
        return [small, middle, self.add("Add", large, self._resize(middle, 0.5))]

    def _resize(self, x: str, scale: float) -> str:
        scales = self.constant(np.array([1, 1, scale, scale], np.float32), f"scales_{scale}")
        return self.add("Resize", x, "", scales, mode="linear", coordinate_transformation_mode="half_pixel")

    def detect(self, levels: Sequence[str], height: int, width: int) -> None:
        """Add the heads and declare the outputs."""
        heads, cells, channels = [], 0, len(NAMES) + 4 * (MAX_STRIDES + 1)
        for level, stride in zip(levels, STRIDES, strict=True):
            count = (height // stride) * (width // stride)
            head = self.convolve(self.convolve(level), is_linear=True)
            heads.append(self.transpose(self.reshape(head, channels, count), 1, 0))
            cells += count
        every = self.concat(0, *heads)
        self.output("scores", self.add("Sigmoid", self.slice(every, 1, 0, len(NAMES))), cells, len(NAMES))
        sides = self.reshape(self.slice(every, 1, len(NAMES), channels), cells, 4, MAX_STRIDES + 1)
        self.output("sides", sides, cells, 4, MAX_STRIDES + 1)
