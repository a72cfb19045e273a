"""Writes MobileSAM's image encoder TinyViT as an ONNX graph for a picture of one size.

The same network as `tests.engines.networks.tiny_vit`, with the padding's activations as constants (see
`engines.models.padding`).
Between convolutions tokens travel as a flat list, (1, H * W, C). In four dimensions OpenVINO moves the transposes round
each convolution past the neighbouring additions, where they cost real copies: a fifth of the encoder's time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engines.graphs import GRID
from engines.letterbox import TOKEN_PX
from engines.models.graph_builder import GraphBuilder
from engines.models.padding import EdgeProfiles

Arrays = Mapping[str, NDArray[np.float32]]
DEPTHS = (2, 2, 6, 2)
HEADS = (2, 4, 5, 10)
WINDOWS = (7, 7, 14, 7)
STRIDES = (2, 2, 1)
"""Of the merges after stages 0 to 2; the last keeps its size, so that 1024 pixels give 64 tokens."""
HEAD_WIDTH = 32
EMBED_WIDTH = 256
STEM_PX = 8
"""Pixels of real padding that the stem and the first stage, all convolutions, see on a cut side: two rows for two
convolutions, and whole rows for the three halvings."""


@dataclass(frozen=True, slots=True)
class _Map:
    """A tensor of tokens: (1, rows * columns, width) where flat, else (1, width, rows, columns)."""

    name: str
    rows: int
    columns: int
    width: int


class TinyVitGraph:
    """Writes the encoder's nodes for `rows` x `columns` tokens at the top left of the 64 x 64 square.

    batch: number of pictures, which all shapes in this module have in place of their first 1.
    arrays: weights by their names in MobileSAM's checkpoint, convolutions with batch norms folded in.
    profiles: the padding's activations; needed where a side is cut, that is less than 64 tokens.
    """

    def __init__(
        self, builder: GraphBuilder, arrays: Arrays, rows: int, columns: int, profiles: EdgeProfiles | None,
        batch: int = 1,
    ) -> None:  # fmt: skip
        self._b, self._arrays, self._profiles, self._batch = builder, arrays, profiles, batch
        self._below, self._right = rows < GRID, columns < GRID
        self.layer_inputs: dict[str, tuple[str, int, int, int]] = {}
        """Tensors that constants continue on a cut side, by name, once written: name, rows, columns, width."""
        self.pixels = rows * TOKEN_PX + STEM_PX * self._below, columns * TOKEN_PX + STEM_PX * self._right
        """(height, width) of the input."""

    def write(self, image: str) -> str:
        """Write the network from (1, 3, height, width) pixels to (1, rows, columns, 256)."""
        height, width = self.pixels
        self._b.enter("encoder/patch_embed")
        x = self._gelu(self._conv(_Map(image, height, width, 3), "patch_embed.0", 2, end=True))
        x = self._conv(x, "patch_embed.1", 2, end=True)
        for stage in range(4):
            for block in range(DEPTHS[stage]):
                name = f"layers.{stage}.blocks.{block}"
                self._b.enter(f"encoder/{name}")
                x = self._transformer_block(x, name, stage, block) if stage else self._mb_conv(x, name)
            if stage < 3:
                self._b.enter(f"encoder/layers.{stage}.downsample")
                x = self._merge(x, stage)
        return self._neck(x)

    # Convolutions

    def _conv(self, x: _Map, name: str, stride: int = 1, *, group: int = 1, end: bool = False) -> _Map:
        """Convolve (1, C, H, W).

        end: pad at the right and below as well, for where no constants continue the picture.
        """
        weight, bias = self._arrays[f"{name}.weight"], self._arrays.get(f"{name}.bias")
        size = weight.shape[2]
        down, across = (1, 1) if size == 3 else (0, 0)
        bottom, right = down, across
        rows, columns = x.rows, x.columns
        if size == 3 and not end:
            # The neighbours that `_extend` has added are consumed: no zeros beyond them, and no output for them.
            bottom, right = int(not self._below), int(not self._right)
            rows, columns = rows - self._below, columns - self._right
        y = self._b.convolution(
            x.name, f"encoder.{name}", weight, bias, stride=stride, pads=(down, across, bottom, right), group=group
        )
        return _Map(y, -(-rows // stride), -(-columns // stride), weight.shape[0])

    def _gelu(self, x: _Map) -> _Map:
        return _Map(self._b.add("Gelu", x.name), x.rows, x.columns, x.width)

    def _mb_conv(self, x: _Map, name: str) -> _Map:
        """Inverted bottleneck: widen, convolve each channel, narrow, add."""
        y = self._gelu(self._conv(x, f"{name}.conv1"))
        y = self._gelu(self._conv(y, f"{name}.conv2", group=y.width, end=True))
        y = self._conv(y, f"{name}.conv3")
        return self._gelu(_Map(self._b.add("Add", x.name, y.name), x.rows, x.columns, x.width))

    def _merge(self, x: _Map, stage: int) -> _Map:
        """Change the width between stages, and halve the size where the stride is 2; takes flat tokens but at first.

        With stride 2 the picture's end needs no neighbour.
        """
        name, stride = f"layers.{stage}.downsample", STRIDES[stage]
        if stage:
            x = self._unflat(self._extend(x, "merge", 1, 1) if stride == 1 else x)
        x = self._gelu(self._conv(x, f"{name}.conv1"))
        x = self._gelu(self._conv(x, f"{name}.conv2", stride, group=x.width, end=stride == 2))
        if stage == 0:
            # What the extra pixels of the stem have become, a row and a column, is dropped.
            x = self._crop_map(x, x.rows - self._below, x.columns - self._right)
        return self._flat(self._conv(x, f"{name}.conv3"))

    def _crop_map(self, x: _Map, rows: int, columns: int) -> _Map:
        y = x.name if rows == x.rows else self._b.slice(x.name, 2, 0, rows)
        y = y if columns == x.columns else self._b.slice(y, 3, 0, columns)
        return _Map(y, rows, columns, x.width)

    # Layouts

    def _flat(self, x: _Map) -> _Map:
        y = self._b.reshape(self._b.transpose(x.name, 0, 2, 3, 1), self._batch, x.rows * x.columns, x.width)
        return _Map(y, x.rows, x.columns, x.width)

    def _square(self, x: _Map) -> str:
        return self._b.reshape(x.name, self._batch, x.rows, x.columns, x.width)

    def _unflat(self, x: _Map) -> _Map:
        return _Map(self._b.transpose(self._square(x), 0, 3, 1, 2), x.rows, x.columns, x.width)

    def _extend(self, x: _Map, name: str, down: int, across: int) -> _Map:
        """Continue flat tokens by the padding's activations on the sides that are cut."""
        self.layer_inputs[name] = x.name, x.rows, x.columns, x.width
        y, rows, columns = self._square(x), x.rows, x.columns
        if self._profiles is not None:
            # Near the square's end less may be there than is asked for: windows get zeros then, as in the square.
            if self._below and down:
                under = self._profiles.under(name, down, columns)
                y = self._b.concat(1, y, self._repeated(under, f"under_{name}"))
                rows += under.shape[1]
            if self._right and across:
                beside = self._profiles.beside(name, x.rows, rows - x.rows, across)
                y = self._b.concat(2, y, self._repeated(beside, f"beside_{name}"))
                columns += beside.shape[2]
        return _Map(self._b.reshape(y, self._batch, rows * columns, x.width), rows, columns, x.width)

    def _repeated(self, value: NDArray[np.float32], name: str) -> str:
        """Add a constant once for each picture."""
        return self._b.constant(np.repeat(value, self._batch, 0), name)

    # Attention

    def _transformer_block(self, x: _Map, name: str, stage: int, block: int) -> _Map:
        """Window attention, a convolution that lets neighbouring windows talk, an MLP."""
        window = WINDOWS[stage]
        seen = self._extend(x, f"{stage}_{block}_attn", -x.rows % window, -x.columns % window)
        y = self._attention(seen, f"{name}.attn", HEADS[stage], window)
        if (y.rows, y.columns) != (x.rows, x.columns):
            grid = self._b.slice(self._square(y), 1, 0, x.rows) if y.rows != x.rows else self._square(y)
            grid = self._b.slice(grid, 2, 0, x.columns) if y.columns != x.columns else grid
            y = _Map(self._b.reshape(grid, self._batch, x.rows * x.columns, x.width), x.rows, x.columns, x.width)
        x = _Map(self._b.add("Add", x.name, y.name), x.rows, x.columns, x.width)
        x = self._extend(x, f"{stage}_{block}_conv", 1, 1)
        x = self._flat(self._conv(self._unflat(x), f"{name}.local_conv", group=x.width))
        y_name = self._norm(x.name, f"{name}.mlp.norm", 1e-5)
        y_name = self._b.add("Gelu", self._linear(y_name, f"{name}.mlp.fc1"))
        return _Map(self._b.add("Add", x.name, self._linear(y_name, f"{name}.mlp.fc2")), x.rows, x.columns, x.width)

    def _norm(self, x: str, name: str, eps: float) -> str:
        weight, bias = (self._arrays[f"{name}.{part}"] for part in ("weight", "bias"))
        return self._b.layer_norm(x, f"encoder.{name}", weight, bias, eps)

    def _linear(self, x: str, name: str) -> str:
        weight, bias = (self._arrays[f"{name}.{part}"] for part in ("weight", "bias"))
        return self._b.linear(x, f"encoder.{name}", weight, bias)

    def _attention(self, x: _Map, name: str, heads: int, window: int) -> _Map:
        """Attend inside windows of `window` x `window` tokens, with a learned bias for every pair of places.

        Zeros stand right and below where whole windows are lacking, as at the square's own end.
        """
        b, batch, width, count = self._b, self._batch, x.width, window * window
        down, across = -(-x.rows // window), -(-x.columns // window)
        y = self._square(x)
        if (down * window, across * window) != (x.rows, x.columns):
            y = b.pad(y, (0, 0, 0, 0, 0, down * window - x.rows, across * window - x.columns, 0))
        y = b.transpose(b.reshape(y, batch * down, window, across, window, width), 0, 2, 1, 3, 4)
        y = b.reshape(y, batch * down * across, count, width)
        qkv = self._linear(self._norm(y, f"{name}.norm", 1e-5), f"{name}.qkv")
        qkv = b.transpose(b.reshape(qkv, batch * down * across, count, 3, heads, HEAD_WIDTH), 2, 0, 3, 1, 4)
        q, k, v = (b.select(qkv, 0, index) for index in range(3))
        scores = b.add("MatMul", q, b.transpose(k, 0, 1, 3, 2))
        scores = b.add("Add", scores, b.constant(self._arrays[f"{name}.bias"], f"encoder.{name}.bias"))
        y = b.add("MatMul", b.add("Softmax", scores, axis=-1), v)
        y = b.reshape(b.transpose(y, 0, 2, 1, 3), batch * down * across, count, width)
        y = b.reshape(self._linear(y, f"{name}.proj"), batch * down, across, window, window, width)
        y = b.reshape(b.transpose(y, 0, 2, 1, 3, 4), batch, down * window * across * window, width)
        return _Map(y, down * window, across * window, width)

    def _neck(self, x: _Map) -> str:
        """Map flat tokens to the embedding's (1, rows, columns, 256)."""
        self._b.enter("encoder/neck")
        x = self._flat(self._conv(self._unflat(x), "neck.0"))
        x = _Map(self._norm(x.name, "neck.1", 1e-6), x.rows, x.columns, EMBED_WIDTH)
        x = self._flat(self._conv(self._unflat(self._extend(x, "neck", 1, 1)), "neck.2"))
        x = _Map(self._norm(x.name, "neck.3", 1e-6), x.rows, x.columns, EMBED_WIDTH)
        return self._square(x)
