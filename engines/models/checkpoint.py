"""Loads published weights into the modules: MobileSAM's ONNX pair, and .pt and .pth checkpoints.

The pair's graphs name only some of their weights. The rest is identified by use: a matrix product's weight by the
named bias that is added to it, folded convolutions by their order.
"""

from __future__ import annotations

from collections import defaultdict
from itertools import product
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from engines.base import ModelError
from engines.models.mask_decoder import MaskDecoder
from engines.models.padding_constants import PaddingConstants
from engines.models.prompt import PromptEncoder
from engines.models.sam_vit import SHAPES, SamVit
from engines.models.tiny_vit import DEPTHS, HEAD_WIDTH, HEADS, WINDOWS, TinyViT
from engines.weights import weight_files

State = dict[str, Tensor]


class SamModel(nn.Module):
    """Holds the three parts of a Segment Anything model."""

    def __init__(self, image_encoder: nn.Module) -> None:
        super().__init__()
        self.image_encoder = image_encoder
        self.prompt_encoder = PromptEncoder()
        self.mask_decoder = MaskDecoder()
        self.recorded: dict[tuple[int, int], tuple[PaddingConstants, Tensor]] = {}
        """Padding constants by the content's (height, width); recording takes seconds."""


def read_model(folder: Path, model: str) -> SamModel:
    """Load a model from the weights in `folder`, for the CPU in float32."""
    files = weight_files(folder, model)
    if len(files) == 2:
        encoder, state = _encoder_state(_OnnxWeights(files[0])), _decoder_state(_OnnxWeights(files[1]))
    else:
        state = _read_checkpoint(files[0])
        encoder = _below(state, "image_encoder.")
        if model == "mobile_sam":
            encoder = fold_tiny_vit(encoder)
    sam = SamModel(TinyViT() if model == "mobile_sam" else SamVit(SHAPES[model]))
    _fill(sam.image_encoder, encoder, files[0])
    _fill(sam.prompt_encoder, _below(state, "prompt_encoder."), files[-1])
    _fill(sam.mask_decoder, _below(state, "mask_decoder."), files[-1])
    return sam.eval().requires_grad_(False)


def _below(state: State, prefix: str) -> State:
    return {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}


def _fill(module: nn.Module, state: State, file: Path) -> None:
    try:
        module.load_state_dict(state)
    except RuntimeError as error:
        detail = str(error).split("\n")[1].strip()[:300]
        raise ModelError(f"{file} does not hold the weights of {type(module).__name__}: {detail}") from error


def _read_checkpoint(file: Path) -> State:
    try:
        state = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises several types for a damaged file
        raise ModelError(f"{file} is not a readable checkpoint ({type(error).__name__}); fetch it again") from error
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise ModelError(f"{file} is not a plain table of weights")
    return state


def fold_tiny_vit(state: State) -> State:
    """Convert MobileSAM's training-time names and batch norms to `TinyViT`'s.

    Batch normalisation y = (x - mean) / sqrt(var + eps) * w + b follows each convolution and becomes part of it.
    """
    out: State = {}
    for key, value in state.items():
        if key.endswith(".c.weight"):
            name = key.removesuffix(".c.weight")
            bn = {part: state[f"{name}.bn.{part}"] for part in ("weight", "bias", "running_mean", "running_var")}
            scale = bn["weight"] / torch.sqrt(bn["running_var"] + 1e-5)
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


def _offset_index(window: int) -> Tensor:
    """Return the (N, N) index of the offset (|dy|, |dx|) between window positions, in order of appearance."""
    places = list(product(range(window), repeat=2))
    indices: dict[tuple[int, int], int] = {}
    rows = [[indices.setdefault((abs(a - c), abs(b - d)), len(indices)) for c, d in places] for a, b in places]
    return torch.tensor(rows)


def _pack_attention(state: State) -> State:
    """Reorder q, k, v per head to all q, all k, all v, with q scaled by 1 / sqrt(32)."""
    for key in state:
        if ".attn.qkv." in key:
            heads = HEADS[int(key.split(".")[1])]
            packed = state[key].unflatten(0, (heads, 3, HEAD_WIDTH)).transpose(0, 1).clone()
            packed[0] *= HEAD_WIDTH**-0.5
            state[key] = packed.flatten(0, 2)
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
        self.state: State = {}
        self.convolutions: list[tuple[Tensor, Tensor]] = []
        self.by_use: dict[tuple[str, tuple[int, ...]], list[Tensor]] = defaultdict(list)
        self.score_biases: list[Tensor] = []
        producers = {node.output[0]: node for node in graph.node}
        for name, value in values.items():
            if not name.startswith("onnx::"):
                self.state[name.removeprefix("model.")] = torch.tensor(value)
        for node in graph.node:
            self._use(node, values, constants, producers)

    def _use(self, node: Any, values: dict[str, Any], constants: dict[str, Any], producers: dict[str, Any]) -> None:
        inputs = list(node.input)
        if node.op_type == "Conv" and inputs[1].startswith("onnx::"):
            self.convolutions.append((torch.tensor(values[inputs[1]]), torch.tensor(values[inputs[2]])))
        elif node.op_type == "Add" and (bias := next((name for name in inputs if name.endswith(".bias")), None)):
            other = producers.get(next(name for name in inputs if name != bias))
            if other is not None and other.op_type == "MatMul" and other.input[1] in values:
                weight = torch.tensor(values[other.input[1]]).T.contiguous()
                self.state[f"{bias.removeprefix('model.').removesuffix('.bias')}.weight"] = weight
        elif node.op_type == "Softmax" and (add := producers.get(inputs[0])) is not None:
            self.score_biases += [torch.tensor(constants[name]) for name in add.input if name in constants]
        if node.op_type in ("Mul", "Add", "Expand"):
            for name in inputs:
                if name in values and name.startswith("onnx::"):
                    value = torch.tensor(values[name])
                    self.by_use[node.op_type, tuple(value.shape)].append(value)

    def next_weight(self, use: str, *shape: int) -> Tensor:
        """Return the next unnamed weight of a use and shape."""
        found = self.by_use[use, shape]
        if not found:
            raise ModelError(f"{self.file} lacks a weight of shape {shape}; it is not MobileSAM's published graph")
        return found.pop(0)


def _encoder_state(onnx_weights: _OnnxWeights) -> State:
    state = dict(onnx_weights.state)
    # Named in the order in which the graph runs them.
    names = ["patch_embed.0", "patch_embed.1"]
    for stage in range(4):
        for block in range(DEPTHS[stage]):
            parts = ("local_conv",) if stage else ("conv1", "conv2", "conv3")
            names += [f"layers.{stage}.blocks.{block}.{part}" for part in parts]
        if stage < 3:
            names += [f"layers.{stage}.downsample.conv{part}" for part in (1, 2, 3)]
    if len(names) != len(onnx_weights.convolutions) or len(onnx_weights.score_biases) != sum(DEPTHS[1:]):
        found = f"{len(onnx_weights.convolutions)} convolutions, {len(onnx_weights.score_biases)} attention blocks"
        raise ModelError(f"{onnx_weights.file} is not MobileSAM's published encoder: {found}")
    for name, (weight, bias) in zip(names, onnx_weights.convolutions, strict=True):
        state[f"{name}.weight"], state[f"{name}.bias"] = weight, bias
    places = ((stage, block) for stage in (1, 2, 3) for block in range(DEPTHS[stage]))
    for (stage, block), bias in zip(places, onnx_weights.score_biases, strict=True):
        state[f"layers.{stage}.blocks.{block}.attn.bias"] = bias
    for norm in (1, 3):
        state[f"neck.{norm}.weight"] = onnx_weights.next_weight("Mul", 256, 1, 1).flatten()
        state[f"neck.{norm}.bias"] = onnx_weights.next_weight("Add", 256, 1, 1).flatten()
    return _pack_attention(state)


def _decoder_state(onnx_weights: _OnnxWeights) -> State:
    state = dict(onnx_weights.state)
    norms = {
        "prompt_encoder.mask_downscaling.1": 4, "prompt_encoder.mask_downscaling.4": 16,
        "mask_decoder.output_upscaling.1": 64,
    }  # fmt: skip
    for name, width in norms.items():
        state[f"{name}.weight"] = onnx_weights.next_weight("Mul", width, 1, 1).flatten()
        state[f"{name}.bias"] = onnx_weights.next_weight("Add", width, 1, 1).flatten()
    state["prompt_encoder.no_mask_embed.weight"] = onnx_weights.next_weight("Mul", 1, 256, 1, 1).view(1, 256)
    tokens = onnx_weights.next_weight("Expand", 1, 5, 256)[0]
    state["mask_decoder.iou_token.weight"], state["mask_decoder.mask_tokens.weight"] = tokens[:1], tokens[1:]
    return state
