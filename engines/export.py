"""Exports the torch modules as static ONNX graphs. The only module that exports."""

from __future__ import annotations

import warnings
from pathlib import Path

import torch

from engines import cache
from engines.graphs import EncoderGraph, Graph
from engines.models.checkpoint import SamModel
from engines.models.graphs import ENCODER_OUTPUTS, build_module, example_inputs

OPSET = 20
"""The first with Gelu as one operation; LayerNormalization is there since 17."""


def export_onnx(sam: SamModel, graph: Graph, file: Path) -> None:
    """Export a graph with the weights of `sam` to `file`, which appears only when it is complete."""
    inputs = example_inputs(graph)
    with cache.atomic_write(file) as partial, warnings.catch_warnings(), torch.inference_mode():
        # The tracer warns of every shape that becomes a constant, which is intended, and of its own deprecation.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            build_module(sam, graph), tuple(inputs.values()), str(partial), dynamo=False, opset_version=OPSET,
            input_names=list(inputs), do_constant_folding=True,
            output_names=list(ENCODER_OUTPUTS) if isinstance(graph, EncoderGraph) else ["logits_out", "iou"],
        )  # fmt: skip
