"""Reads published weights as arrays by their names in Meta's checkpoints: MobileSAM's ONNX pair, .pt and .pth files.

The pair's graphs name only some of their weights. The rest is identified by use: a matrix product's weight by the
named bias that is added to it, folded convolutions by their order.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.base import ModelError
from engines.models.checkpoint import read_checkpoint
from engines.models.sam_vit_graph import SHAPES
from engines.models.tiny_vit_graph import DEPTHS, HEAD_WIDTH, HEADS, WINDOWS
from engines.weights import weight_files

Arrays = dict[str, NDArray[Any]]


class ModelWeights(Arrays):
    """Holds a model's weights by name; a missing one raises `ModelError` with the file."""

    def __init__(self, arrays: Arrays, file: Path) -> None:
        super().__init__(arrays)
        self._file = file

    def __missing__(self, name: str) -> NDArray[Any]:
        """Raise `ModelError`."""
        raise ModelError(f"{self._file} does not hold the weights that are expected: {name} is missing")

    def below(self, prefix: str) -> ModelWeights:
        """Return the weights whose names begin with a prefix, without it."""
        found = {key.removeprefix(prefix): value for key, value in self.items() if key.startswith(prefix)}
        return ModelWeights(found, self._file)


PARTS = ("image_encoder.", "prompt_encoder.", "mask_decoder.")


def read_arrays(folder: Path, model: str) -> ModelWeights:
    """Read the weights of `model` in `folder` in the form of `engines.models`.

    TinyViT's batch norms are folded into its convolutions, its position biases are whole tables, and its queries are
    scaled. Raises `ModelError` for a file that is not what it should be.
    """
    files = weight_files(folder, model)
    if len(files) == 2:
        pair = _encoder_arrays(_OnnxWeights(files[0])) | _decoder_arrays(_OnnxWeights(files[1]))
        return ModelWeights(pair, files[0].parent)
    state = read_checkpoint(files[0])
    weights = ModelWeights({key: value for key, value in state.items() if key.startswith(PARTS)}, files[0])
    if model != "mobile_sam":
        _check_vit(weights, model, files[0])
    else:
        folded = fold_tiny_vit(weights.below(PARTS[0]))
        rest = {key: value for key, value in weights.items() if not key.startswith(PARTS[0])}
        weights = ModelWeights(_with_prefix(PARTS[0], folded) | rest, files[0])
    return weights


def _with_prefix(prefix: str, arrays: Arrays) -> Arrays:
    return {prefix + key: value for key, value in arrays.items()}


def _check_vit(weights: ModelWeights, model: str, file: Path) -> None:
    """Raise `ModelError` unless the encoder's width and depth are those of the model."""
    wanted = SHAPES[model]
    depth = sum(key.startswith(f"{PARTS[0]}blocks.") and key.endswith(".norm1.weight") for key in weights)
    width = weights[f"{PARTS[0]}pos_embed"].shape[-1]
    if (depth, width) != (wanted.depth, wanted.width):
        raise ModelError(
            f"{file} holds an encoder of {depth} blocks of width {width}, and {model} has {wanted.depth} of "
            f"{wanted.width}; fetch it again: gazecast models pull {model}"
        )


def fold_tiny_vit(state: Arrays) -> Arrays:
    """Convert MobileSAM's training-time names and batch norms to those of `tests.engines.networks.tiny_vit`.

    Batch normalisation y = (x - mean) / sqrt(var + eps) * w + b follows each convolution and becomes part of it.
    """
    out: Arrays = {}
    for key, value in state.items():
        if key.endswith(".c.weight"):
            name = key.removesuffix(".c.weight")
            bn = {part: state[f"{name}.bn.{part}"] for part in ("weight", "bias", "running_mean", "running_var")}
            scale = bn["weight"] / np.sqrt(bn["running_var"] + np.float32(1e-5))
            name = name.replace("patch_embed.seq.0", "patch_embed.0").replace("patch_embed.seq.2", "patch_embed.1")
            out[f"{name}.weight"] = value * scale[:, None, None, None]
            out[f"{name}.bias"] = bn["bias"] - bn["running_mean"] * scale
        elif key.endswith(".attention_biases"):
            name = key.removesuffix(".attention_biases")
            window = WINDOWS[int(key.split(".")[1])]
            out[f"{name}.bias"] = value[:, _offset_index(window)]
        elif ".bn." in key or key.endswith("attention_bias_idxs") or key.startswith(("norm_head.", "head.")):
            continue
        else:
            out[key] = value
    return _pack_attention(out)


def _offset_index(window: int) -> NDArray[np.intp]:
    """Return the (N, N) index of the offset (|dy|, |dx|) between window positions, in order of appearance."""
    places = [(row, column) for row in range(window) for column in range(window)]
    seen: dict[tuple[int, int], int] = {}
    rows = [[seen.setdefault((abs(a - c), abs(b - d)), len(seen)) for c, d in places] for a, b in places]
    return np.array(rows, np.intp)


def _pack_attention(state: Arrays) -> Arrays:
    """Reorder q, k, v per head to all q, all k, all v, with q scaled by 1 / sqrt(32)."""
    for stage in (1, 2, 3):
        for block in range(DEPTHS[stage]):
            for part in ("weight", "bias"):
                key = f"layers.{stage}.blocks.{block}.attn.qkv.{part}"
                if key not in state:
                    continue
                value = state[key]
                packed = value.reshape(HEADS[stage], 3, HEAD_WIDTH, *value.shape[1:]).swapaxes(0, 1).copy()
                packed[0] *= np.float32(HEAD_WIDTH**-0.5)
                state[key] = packed.reshape(value.shape)
    return state


class _OnnxWeights:
    """Names an ONNX graph's weights: by its own names where present, else by use."""

    def __init__(self, file: Path) -> None:
        import onnx

        try:
            graph = onnx.load(file).graph
            values = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
        except Exception as error:  # protobuf, onnx and numpy raise different types for a damaged file
            raise ModelError(f"{file} is not a readable ONNX file ({type(error).__name__}); fetch it again") from error
        self.file = file
        constants = {
            node.output[0]: onnx.numpy_helper.to_array(node.attribute[0].t)
            for node in graph.node
            if node.op_type == "Constant" and node.attribute[0].name == "value"
        }
        self.arrays: Arrays = {}
        self.convolutions: list[tuple[NDArray[Any], NDArray[Any]]] = []
        self.by_use: dict[tuple[str, tuple[int, ...]], list[NDArray[Any]]] = defaultdict(list)
        self.score_biases: list[NDArray[Any]] = []
        producers = {node.output[0]: node for node in graph.node}
        for name, value in values.items():
            if not name.startswith("onnx::"):
                self.arrays[name.removeprefix("model.")] = value
        for node in graph.node:
            self._use(node, values, constants, producers)

    def _use(self, node: Any, values: dict[str, Any], constants: dict[str, Any], producers: dict[str, Any]) -> None:
        inputs = list(node.input)
        if node.op_type == "Conv" and inputs[1].startswith("onnx::"):
            self.convolutions.append((values[inputs[1]], values[inputs[2]]))
        elif node.op_type == "Add" and (bias := next((name for name in inputs if name.endswith(".bias")), None)):
            other = producers.get(next(name for name in inputs if name != bias))
            if other is not None and other.op_type == "MatMul" and other.input[1] in values:
                weight = np.ascontiguousarray(values[other.input[1]].T)
                self.arrays[f"{bias.removeprefix('model.').removesuffix('.bias')}.weight"] = weight
        elif node.op_type == "Softmax" and (add := producers.get(inputs[0])) is not None:
            self.score_biases += [constants[name] for name in add.input if name in constants]
        if node.op_type in ("Mul", "Add", "Expand"):
            for name in inputs:
                if name in values and name.startswith("onnx::"):
                    self.by_use[node.op_type, values[name].shape].append(values[name])

    def next_array(self, use: str, *shape: int) -> NDArray[Any]:
        """Return the next unnamed weight of a use and shape."""
        found = self.by_use[use, shape]
        if not found:
            raise ModelError(f"{self.file} lacks a weight of shape {shape}; it is not MobileSAM's published graph")
        return found.pop(0)


def _encoder_arrays(weights: _OnnxWeights) -> Arrays:
    arrays = dict(weights.arrays)
    # Named in the order in which the graph runs them.
    names = ["patch_embed.0", "patch_embed.1"]
    for stage in range(4):
        for block in range(DEPTHS[stage]):
            parts = ("local_conv",) if stage else ("conv1", "conv2", "conv3")
            names += [f"layers.{stage}.blocks.{block}.{part}" for part in parts]
        if stage < 3:
            names += [f"layers.{stage}.downsample.conv{part}" for part in (1, 2, 3)]
    if len(names) != len(weights.convolutions) or len(weights.score_biases) != sum(DEPTHS[1:]):
        found = f"{len(weights.convolutions)} convolutions, {len(weights.score_biases)} attention blocks"
        raise ModelError(f"{weights.file} is not MobileSAM's published encoder: {found}")
    for name, (weight, bias) in zip(names, weights.convolutions, strict=True):
        arrays[f"{name}.weight"], arrays[f"{name}.bias"] = weight, bias
    places = ((stage, block) for stage in (1, 2, 3) for block in range(DEPTHS[stage]))
    for (stage, block), bias in zip(places, weights.score_biases, strict=True):
        arrays[f"layers.{stage}.blocks.{block}.attn.bias"] = bias
    for norm in (1, 3):
        arrays[f"neck.{norm}.weight"] = weights.next_array("Mul", 256, 1, 1).flatten()
        arrays[f"neck.{norm}.bias"] = weights.next_array("Add", 256, 1, 1).flatten()
    return _with_prefix(PARTS[0], _pack_attention(arrays))


def _decoder_arrays(weights: _OnnxWeights) -> Arrays:
    arrays = dict(weights.arrays)
    norms = {
        "prompt_encoder.mask_downscaling.1": 4, "prompt_encoder.mask_downscaling.4": 16,
        "mask_decoder.output_upscaling.1": 64,
    }  # fmt: skip
    for name, width in norms.items():
        arrays[f"{name}.weight"] = weights.next_array("Mul", width, 1, 1).flatten()
        arrays[f"{name}.bias"] = weights.next_array("Add", width, 1, 1).flatten()
    arrays["prompt_encoder.no_mask_embed.weight"] = weights.next_array("Mul", 1, 256, 1, 1).reshape(1, 256)
    tokens = weights.next_array("Expand", 1, 5, 256)[0]
    arrays["mask_decoder.iou_token.weight"], arrays["mask_decoder.mask_tokens.weight"] = tokens[:1], tokens[1:]
    return {key: value for key, value in arrays.items() if key.startswith(PARTS)}
