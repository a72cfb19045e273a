"""Builds the graphs of CLIP's two towers, vision and text transformers, from OpenAI's weights (Radford et al., 2021).

The picture tower gives an embedding for each patch instead of one for the picture. As in MaskCLIP (Zhou et al.,
"Extract Free Dense Labels from CLIP", ECCV 2022), the last block does not attend: what attention would have averaged,
the value of each patch, goes through the block's output projection, its residual and its MLP alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto

from engines.base import ModelError
from engines.models.graph_builder import GraphBuilder

Arrays = Mapping[str, NDArray[np.float32]]
HEAD_WIDTH = 64
EPS = 1e-5
MEAN_BGR, STD_BGR = (104.0937, 116.7460, 122.7709), (70.3232, 66.6322, 68.5005)
"""Of the training's pictures."""
BLOCKED = -1e9
"""Score of a later token, which a token of the text must not attend to."""


@dataclass(frozen=True, slots=True)
class ClipShape:
    """Holds the sizes of CLIP's two towers. patch_px: side of a patch. grid: patches along a side in training.

    context: the most tokens of a text. embedding: numbers of an embedding, which both towers share.
    """

    patch_px: int
    grid: int
    picture_depth: int
    text_depth: int
    text_width: int
    context: int
    embedding: int

    @classmethod
    def of(cls, arrays: Arrays) -> ClipShape:
        """Read the sizes off the weights; raises `ModelError` where these are not of such a network."""
        blocks = [name for name in arrays if name.endswith(".attn.in_proj_weight")]
        convolution, projection = arrays["visual.conv1.weight"], arrays["text_projection"]
        positions, text_positions = arrays["visual.positional_embedding"], arrays["positional_embedding"]
        shape = cls(
            patch_px=convolution.shape[-1],
            grid=round((len(positions) - 1) ** 0.5),
            picture_depth=sum(name.startswith("visual.") for name in blocks),
            text_depth=sum(name.startswith("transformer.") for name in blocks),
            text_width=projection.shape[0],
            context=len(text_positions),
            embedding=projection.shape[1],
        )
        widths = convolution.shape[0], shape.text_width
        if (
            len(positions) != shape.grid**2 + 1
            or any(width % HEAD_WIDTH for width in widths)
            or not shape.picture_depth
        ):
            raise ModelError(f"these are not the weights of a CLIP with vision transformers: {shape}")
        return shape


def build_picture_graph(arrays: Arrays, rows: int, columns: int) -> onnx.ModelProto:
    """Build the tower for pictures of rows x columns patches.

    Input `picture`: (1, height, width, 3) uint8 BGR. Output `patches`: (1, rows * columns, embedding).
    """
    shape = ClipShape.of(arrays)
    graph = _ClipTower("clip-picture", arrays, "visual.")
    x = graph.embed_picture(rows, columns, shape)
    for index in range(shape.picture_depth - 1):
        x = graph.block(x, index, rows * columns + 1)
    x = graph.value_block(graph.slice(x, 1, 1, rows * columns + 1), shape.picture_depth - 1)
    graph.project(graph.norm(x, "ln_post"), "proj", "patches", 1, rows * columns, shape.embedding)
    return graph.build()


def build_text_graph(arrays: Arrays, batch: int, length: int) -> onnx.ModelProto:
    """Build the tower for texts of up to `length` tokens, which later ones cannot change.

    Inputs `tokens`: (batch, length, width), from `embed_tokens`, and `ends`: (batch, 1, length), 1 at the end token.
    Output `texts`: (batch, 1, embedding).
    """
    shape = ClipShape.of(arrays)
    graph = _ClipTower("clip-text", arrays, "")
    x = graph.input("tokens", TensorProto.FLOAT, batch, length, shape.text_width)
    ends = graph.input("ends", TensorProto.FLOAT, batch, 1, length)
    later = graph.constant(np.triu(np.full((length, length), BLOCKED, np.float32), 1), "later")
    for index in range(shape.text_depth):
        x = graph.block(x, index, length, batch, later)
    graph.enter("pooling")
    graph.project(graph.norm(graph.add("MatMul", ends, x), "ln_final"), "text_projection", "texts", batch, 1,
                  shape.embedding)  # fmt: skip
    return graph.build()


def embed_tokens(arrays: Arrays, ids: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return the text tower's input for (batch, length) token ids."""
    tokens, positions = arrays["token_embedding.weight"], arrays["positional_embedding"]
    return np.asarray(tokens[ids] + positions[: ids.shape[1]], np.float32)


def interpolate_positions(positions: NDArray[np.float32], rows: int, columns: int) -> NDArray[np.float32]:
    """Resample the learned positions of a square of patches to another grid, bicubic; that of the class token stays."""
    grid = round((len(positions) - 1) ** 0.5)
    down, across = (
        cv2.resize(np.eye(grid, dtype=np.float32), (grid, count), interpolation=cv2.INTER_CUBIC)
        for count in (rows, columns)
    )
    square = positions[1:].reshape(grid, grid, -1)
    moved = np.einsum("rR,cC,RCw->rcw", down, across, square, optimize=True).reshape(rows * columns, -1)
    return np.concatenate([positions[:1], moved]).astype(np.float32)


class _ClipTower(GraphBuilder):
    """Adds the parts of a tower, whose weights' names begin with a prefix."""

    def __init__(self, name: str, arrays: Arrays, prefix: str) -> None:
        super().__init__(name)
        self._arrays, self._prefix = arrays, prefix

    def _weight(self, name: str) -> NDArray[np.float32]:
        return np.asarray(self._arrays[self._prefix + name], np.float32)

    def embed_picture(self, rows: int, columns: int, shape: ClipShape) -> str:
        """Declare the picture and convert it to the class token and one token for each patch."""
        self.enter("embedding")
        side = shape.patch_px
        x = self.add("Cast", self.input("picture", TensorProto.UINT8, 1, rows * side, columns * side, 3),
                     to=TensorProto.FLOAT)  # fmt: skip
        mean, std = (self.constant(np.array(values, np.float32)) for values in (MEAN_BGR, STD_BGR))
        x = self.transpose(self.add("Div", self.add("Sub", x, mean), std), 0, 3, 1, 2)
        x = self.convolution(x, "conv1", self._weight("conv1.weight")[:, ::-1], None, stride=side)
        x = self.transpose(self.reshape(x, 1, -1, rows * columns), 0, 2, 1)
        x = self.concat(1, self.constant(self._weight("class_embedding")[None, None], "class"), x)
        positions = interpolate_positions(self._weight("positional_embedding"), rows, columns)
        return self.norm(self.add("Add", x, self.constant(positions, "positions")), "ln_pre")

    def block(self, x: str, index: int, count: int, batch: int = 1, later: str = "") -> str:
        """Attention and an MLP, each with its residual. later: added to the scores of each pair of tokens."""
        name = f"transformer.resblocks.{index}"
        self.enter(name)
        weight, bias = self._weight(f"{name}.attn.in_proj_weight"), self._weight(f"{name}.attn.in_proj_bias")
        heads = weight.shape[1] // HEAD_WIDTH
        qkv = self.linear(self.norm(x, f"{name}.ln_1"), f"{name}.attn.in_proj", weight, bias)
        qkv = self.transpose(self.reshape(qkv, batch, count, 3, heads, HEAD_WIDTH), 2, 0, 3, 1, 4)
        q, k, v = (self.select(qkv, 0, part) for part in range(3))
        q = self.add("Mul", q, self.scalar(HEAD_WIDTH**-0.5))
        scores = self.add("MatMul", q, self.transpose(k, 0, 1, 3, 2))
        scores = self.add("Add", scores, later) if later else scores
        y = self.transpose(self.add("MatMul", self.add("Softmax", scores, axis=-1), v), 0, 2, 1, 3)
        y = self._linear(self.reshape(y, batch, count, weight.shape[1]), f"{name}.attn.out_proj")
        return self._mlp(self.add("Add", x, y), name)

    def value_block(self, x: str, index: int) -> str:
        """Apply a block whose every token attends to itself alone; two projections in a row are one."""
        name = f"transformer.resblocks.{index}"
        self.enter(name)
        out = self._weight(f"{name}.attn.out_proj.weight")
        width = len(out)
        values, biases = (self._weight(f"{name}.attn.in_proj_{part}")[2 * width :] for part in ("weight", "bias"))
        bias = out @ biases + self._weight(f"{name}.attn.out_proj.bias")
        y = self.linear(self.norm(x, f"{name}.ln_1"), f"{name}.attn.values", out @ values, bias)
        return self._mlp(self.add("Add", x, y), name)

    def project(self, x: str, weight: str, output: str, *shape: int) -> None:
        """Map tokens to embeddings, and declare these as an output."""
        self.output(output, self.add("MatMul", x, self.constant(self._weight(weight), weight)), *shape)

    def norm(self, x: str, name: str) -> str:
        """Normalise each token."""
        return self.layer_norm(x, name, self._weight(f"{name}.weight"), self._weight(f"{name}.bias"), EPS)

    def linear(self, x: str, name: str, weight: NDArray[np.float32], bias: NDArray[np.float32] | None) -> str:
        """See `GraphBuilder.linear`; weights are of half precision, as OpenAI published them, which saves memory."""
        half = self.constant(weight.T.astype(np.float16), f"{name}.weight_t")
        y = self.add("MatMul", x, self.add("Cast", half, to=TensorProto.FLOAT))
        return y if bias is None else self.add("Add", y, self.constant(bias, f"{name}.bias"))

    def _linear(self, x: str, name: str) -> str:
        return self.linear(x, name, self._weight(f"{name}.weight"), self._weight(f"{name}.bias"))

    def _mlp(self, x: str, name: str) -> str:
        y = self._linear(self.norm(x, f"{name}.ln_2"), f"{name}.mlp.c_fc")
        # OpenAI trained with this approximation of GELU.
        y = self.add("Mul", y, self.add("Sigmoid", self.add("Mul", y, self.scalar(1.702))))
        return self.add("Add", x, self._linear(y, f"{name}.mlp.c_proj"))
