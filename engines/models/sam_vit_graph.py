"""Writes SAM's own image encoders, plain vision transformers, as ONNX graphs (Kirillov et al., 2023; Li et al., 2022).

Most blocks attend inside windows of 14 x 14 tokens, four of them everywhere; every attention adds decomposed relative
positions. All of the square is encoded, since these networks attend to all of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engines.graphs import GRID
from engines.letterbox import TOKEN_PX
from engines.models.graph_builder import GraphBuilder

Arrays = Mapping[str, NDArray[np.float32]]
WINDOW = 14
EPS = 1e-6


@dataclass(frozen=True, slots=True)
class VitShape:
    """Holds what distinguishes the three sizes. global_blocks: indices of the blocks without windows."""

    width: int
    depth: int
    heads: int
    global_blocks: tuple[int, ...]


SHAPES = {
    "sam_vit_b": VitShape(768, 12, 12, (2, 5, 8, 11)),
    "sam_vit_l": VitShape(1024, 24, 16, (5, 11, 17, 23)),
    "sam_vit_h": VitShape(1280, 32, 16, (7, 15, 23, 31)),
}


class SamVitGraph:
    """Writes the encoder's nodes for squares of `grid` x `grid` tokens; other than 64 only in tests.

    batch: number of pictures. arrays: weights by their names in Meta's checkpoint, without "image_encoder.".
    """

    def __init__(
        self, builder: GraphBuilder, arrays: Arrays, shape: VitShape, grid: int = GRID, batch: int = 1
    ) -> None:
        self._b, self._arrays, self._shape, self._grid, self._batch = builder, arrays, shape, grid, batch
        self.pixels = grid * TOKEN_PX, grid * TOKEN_PX
        """(height, width) of the input."""

    def write(self, image: str) -> str:
        """Write the network from (B, 3, height, width) pixels to (B, grid, grid, 256)."""
        b = self._b
        b.enter("encoder/patch_embed")
        x = b.transpose(self._conv(image, "patch_embed.proj", stride=TOKEN_PX), 0, 2, 3, 1)
        x = b.add("Add", x, b.constant(self._arrays["pos_embed"], "encoder.pos_embed"))
        for index in range(self._shape.depth):
            b.enter(f"encoder/blocks.{index}")
            x = self._block(x, f"blocks.{index}", index in self._shape.global_blocks)
        b.enter("encoder/neck")
        for part in (0, 2):
            x = self._conv(b.transpose(x, 0, 3, 1, 2), f"neck.{part}", pads=(part // 2,) * 4)
            x = self._norm(b.transpose(x, 0, 2, 3, 1), f"neck.{part + 1}")
        return x

    def _conv(self, x: str, name: str, stride: int = 1, pads: tuple[int, int, int, int] = (0, 0, 0, 0)) -> str:
        weight, bias = self._arrays[f"{name}.weight"], self._arrays.get(f"{name}.bias")
        return self._b.convolution(x, f"encoder.{name}", weight, bias, stride=stride, pads=pads)

    def _norm(self, x: str, name: str) -> str:
        weight, bias = (self._arrays[f"{name}.{part}"] for part in ("weight", "bias"))
        return self._b.layer_norm(x, f"encoder.{name}", weight, bias, EPS)

    def _linear(self, x: str, name: str) -> str:
        weight, bias = (self._arrays[f"{name}.{part}"] for part in ("weight", "bias"))
        return self._b.linear(x, f"encoder.{name}", weight, bias)

    def _block(self, x: str, name: str, is_global: bool) -> str:
        """Attention, in windows unless global, and an MLP, each with its residual."""
        b, batch, grid, width = self._b, self._batch, self._grid, self._shape.width
        y = self._norm(x, f"{name}.norm1")
        if is_global:
            y = self._attention(y, f"{name}.attn", batch, grid)
        else:
            count = -(-grid // WINDOW)
            size = count * WINDOW
            y = b.pad(y, (0, 0, 0, 0, 0, size - grid, size - grid, 0))
            y = b.transpose(b.reshape(y, batch * count, WINDOW, count, WINDOW, width), 0, 2, 1, 3, 4)
            windows = batch * count**2
            y = self._attention(b.reshape(y, windows, WINDOW, WINDOW, width), f"{name}.attn", windows, WINDOW)
            y = b.transpose(b.reshape(y, batch * count, count, WINDOW, WINDOW, width), 0, 2, 1, 3, 4)
            y = b.slice(b.slice(b.reshape(y, batch, size, size, width), 1, 0, grid), 2, 0, grid)
        x = b.add("Add", x, y)
        y = b.add("Gelu", self._linear(self._norm(x, f"{name}.norm2"), f"{name}.mlp.lin1"))
        return b.add("Add", x, self._linear(y, f"{name}.mlp.lin2"))

    def _attention(self, x: str, name: str, batch: int, side: int) -> str:
        """Attend over (B, side, side, C) with decomposed relative positions."""
        b, heads, count = self._b, self._shape.heads, side * side
        depth = self._shape.width // heads
        qkv = b.reshape(self._linear(x, f"{name}.qkv"), batch, count, 3, heads, depth)
        qkv = b.transpose(qkv, 2, 0, 3, 1, 4)
        q, k, v = (b.select(qkv, 0, index) for index in range(3))
        square = b.reshape(q, batch, heads, side, side, depth)
        down = b.add("MatMul", square, self._offsets(f"{name}.rel_pos_h", side))
        across = b.add("MatMul", b.transpose(square, 0, 1, 3, 2, 4), self._offsets(f"{name}.rel_pos_w", side))
        down = b.reshape(down, batch, heads, side, side, side, 1)
        across = b.reshape(b.transpose(across, 0, 1, 3, 2, 4), batch, heads, side, side, 1, side)
        bias = b.reshape(b.add("Add", down, across), batch, heads, count, count)
        scores = b.add("MatMul", b.add("Mul", q, b.scalar(depth**-0.5)), b.transpose(k, 0, 1, 3, 2))
        y = b.add("MatMul", b.add("Softmax", b.add("Add", scores, bias), axis=-1), v)
        y = b.reshape(b.transpose(y, 0, 2, 1, 3), batch, side, side, self._shape.width)
        return self._linear(y, f"{name}.proj")

    def _offsets(self, name: str, side: int) -> str:
        """Add (2 * side - 1, D) learned offsets as (side, D, side), indexed by query and key."""
        places = np.arange(side)
        table = self._arrays[name][places[:, None] - places[None] + side - 1]
        return self._b.constant(table.transpose(0, 2, 1), f"encoder.{name}")
