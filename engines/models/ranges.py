"""Measures the input ranges of an encoder's linear layers, which set the 8-bit scales."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx
from onnx import TensorProto, helper

from engines.base import Image, PromptError
from engines.graphs import EncoderGraph
from engines.number_formats import find_quantisable_layers
from engines.openvino_core import open_core
from engines.pictures import resize_and_crop, sample_evenly

if TYPE_CHECKING:
    from engines.number_formats import Ranges

FILE = Path(__file__).with_name("mobile_sam_ranges.json")
MAX_IMAGES = 12
QUANTILE = 0.9999
"""Of a picture's magnitudes; the few beyond it saturate, for a finer step everywhere else."""


def shipped_ranges(weights_hash: str) -> Ranges | None:
    """Return the ranges that come with the program, if they were measured on these weights."""
    content = json.loads(FILE.read_text())
    return content["ranges"] if weights_hash in content["weights"] else None


def measure_ranges(model: onnx.ModelProto, graph: EncoderGraph, pictures: Sequence[Image]) -> Ranges:
    """Measure each layer's largest input magnitude with OpenVINO, by its name in the graph.

    pictures: (H, W, 3) uint8 BGR of any size; each is cut to the shape of `graph`. Raises `PromptError` for none,
    `EngineUnavailable` without OpenVINO.
    """
    if not pictures:
        raise PromptError("quantising needs real pictures; give a folder of them or a video")
    layers = find_quantisable_layers(model.graph)
    tapped = onnx.ModelProto()
    tapped.CopyFrom(model)
    del tapped.graph.output[:]
    inputs = sorted({node.input[0] for node in layers.values()})
    tapped.graph.output.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in inputs)
    core = open_core()
    network = core.read_model(tapped.SerializeToString())
    run = core.compile_model(network, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    found: dict[str, float] = dict.fromkeys(inputs, 0.0)
    for picture in sample_evenly(pictures, MAX_IMAGES):
        results = run({0: resize_and_crop(picture, (graph.width, graph.height))})
        for index, name in enumerate(inputs):
            found[name] = max(found[name], float(np.quantile(np.abs(results[index]), QUANTILE)))
    return {name: found[node.input[0]] for name, node in layers.items()}
