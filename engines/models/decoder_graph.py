"""Writes SAM's mask decoder as ONNX graphs with half the arithmetic; equal to the plain one except for rounding.

Differences from `tests.engines.networks.mask_decoder`, for M image tokens (4096 when a picture fills the square), N
about 7 tokens, 8 heads of 16:
- all that depends only on the image (layer 0's keys and values for the tokens, its queries from the image) is
  computed once per image by `write_preparation`;
- elsewhere no projection is applied to all M tokens. A head's scores q (W x) are (q W) x, and a sum of projected values
  P (V x) is (P x) V, so the narrow side carries the projection ("absorption", as in multi-head latent attention,
  DeepSeek-V2, 2024). A key bias cancels in the softmax; a query bias becomes an offset per token;
- a transposed convolution of stride 2 and size 2 is one matrix product, so upscaling stays channels last, and the
  only shuffle of pixels is done on the four finished maps;
- the padding is pooled into blocks (`engines.graphs.block_edges`), and not upscaled.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from engines.graphs import GRID, DecoderGraph, block_edges
from engines.models.graph_builder import GraphBuilder

Arrays = Mapping[str, NDArray[np.float32]]
WIDTH = 256
HEADS = 8
HEAD = WIDTH // 2 // HEADS
MASKS = 4
OUTPUTS = 1 + MASKS
"""Output tokens before the prompt's: one for the IoUs, one for each mask."""
OUTSIDE = -32.0
"""Logit in the padding, which is never segmented."""
EPS = 1e-5


def averaging_matrix(tokens: int) -> NDArray[np.float32]:
    """Return an (n, 64) matrix that averages rows or columns of the full grid to the decoder's."""
    borders = block_edges(tokens)
    means = np.zeros((len(borders) - 1, GRID), np.float32)
    for row, (begin, end) in enumerate(pairwise(borders)):
        means[row, begin:end] = 1 / (end - begin)
    return means


def pool_blocks(grid: NDArray[np.float32], rows: int, columns: int) -> NDArray[np.float32]:
    """Average (64, 64, C) to the decoder's grid of a picture of rows x columns tokens."""
    down, across = averaging_matrix(rows), averaging_matrix(columns)
    return np.asarray(np.einsum("rR,cC,RCk->rck", down, across, grid, optimize=True), np.float32)


def write_pooling(b: GraphBuilder, x: str, batch: int, rows: int, columns: int) -> str:
    """Write `pool_blocks` of (B, 64, 64, 256), to (B, R, C', 256)."""
    if (rows, columns) == (GRID, GRID):
        return x
    down, across = (averaging_matrix(count) for count in (rows, columns))
    x = b.reshape(x, batch, GRID, GRID * WIDTH)
    x = b.reshape(b.add("MatMul", b.constant(down, f"pool_{rows}"), x), batch, len(down), GRID, WIDTH)
    return b.add("MatMul", b.constant(across, f"pool_{columns}"), x)


def log_block_areas(rows: int, columns: int) -> NDArray[np.float32]:
    """Return (M,): the logarithm of each block's token count, which attention adds to its scores."""
    tokens = [1 / averaging_matrix(count).max(1) for count in (rows, columns)]
    return np.asarray(np.log(np.outer(*tokens)).flatten(), np.float32)


def position_grid(arrays: Arrays) -> NDArray[np.float32]:
    """Return the positional encoding of every token, (64, 64, 256): random Fourier features (Tancik et al., 2020)."""
    middle = (np.arange(GRID, dtype=np.float32) + np.float32(0.5)) / np.float32(GRID)
    place = np.stack(np.broadcast_arrays(middle[None, :], middle[:, None]), -1)
    matrix = arrays["prompt_encoder.pe_layer.positional_encoding_gaussian_matrix"]
    angle = np.float32(2 * math.pi) * ((2 * place - 1) @ matrix)
    return np.concatenate([np.sin(angle), np.cos(angle)], -1).astype(np.float32)


def write_preparation(
    b: GraphBuilder, arrays: Arrays, keys: str, rows: int, columns: int, batch: int = 1
) -> dict[str, str]:
    """Write what a decoder needs of an image, from its embedding (M, 256) on the decoder's grid.

    Returns keys (M, 256), and k, q and v per head, each (8, 16, M), by name. A batch of two or more images is the
    first dimension of all of them.
    """
    images = (batch,) if batch > 1 else ()
    axis = len(images)
    b.enter("preparation")
    layer = "mask_decoder.transformer.layers.0"
    parts = [
        f"{layer}.cross_attn_token_to_image.k_proj",
        f"{layer}.cross_attn_image_to_token.q_proj",
        f"{layer}.cross_attn_token_to_image.v_proj",
    ]
    weights = np.concatenate([arrays[f"{part}.weight"] for part in parts])
    biases = np.concatenate([arrays[f"{part}.bias"] for part in parts])
    # The position is added to the inputs of the first two projections, of WIDTH / 2 rows each, not to the third's;
    # added after, it is a constant.
    place = pool_blocks(position_grid(arrays), rows, columns).reshape(-1, WIDTH)
    constant = np.repeat(biases[:, None], len(place), 1)
    constant[:WIDTH] += weights[:WIDTH] @ place.T
    keys = b.add("Add", keys, b.constant(arrays["prompt_encoder.no_mask_embed.weight"], "prompt_encoder.no_mask"))
    x = b.add("MatMul", b.constant(weights, "preparation.weight"), b.transpose(keys, *range(axis), axis + 1, axis))
    x = b.reshape(b.add("Add", x, b.constant(constant, "preparation.constant")), *images, 3, HEADS, HEAD, len(place))
    k, q, v = (b.select(x, axis, index) for index in range(3))
    return {"keys": keys, "k": k, "q": q, "v": v}


class MaskDecoderGraph:
    """Writes the nodes that turn a prepared image and a batch of prompts into logits and predicted IoUs."""

    def __init__(self, builder: GraphBuilder, arrays: Arrays, graph: DecoderGraph) -> None:
        self._b, self._arrays = builder, arrays
        self._batch, self._rows, self._columns = graph.batch, graph.rows, graph.columns
        self._images = (0,) if graph.own_images else ()
        self._grid = graph.grid
        self._count = self._grid[0] * self._grid[1]
        self._tokens = OUTPUTS + graph.points
        place = pool_blocks(position_grid(arrays), graph.rows, graph.columns).reshape(-1, WIDTH)
        self._place = builder.constant(place, "place")
        self._log_areas = builder.constant(log_block_areas(graph.rows, graph.columns), "log_areas")

    def write(self, keys: str, k: str, q: str, v: str, prompt: str, absent: str) -> tuple[str, str]:
        """Write the decoder for prompts without masks.

        keys, k, q, v: see `write_preparation`. prompt: (B, N, 256). absent: (B, N), 0 for a token that counts and
        very negative for one that only fills its batch. Returns logits (B, 4, 256, 256) and predicted IoU (B, 4).
        Where each prompt has its own image, B is the first dimension of the others too.
        """
        b = self._b
        tokens, absent = self._prompt_tokens(prompt, absent)
        layer = "mask_decoder.transformer.layers.0"
        b.enter("decoder/layers.0")
        queries = self._attend_self(layer, tokens, None, absent)
        name = f"{layer}.cross_attn_token_to_image"
        heads = self._heads(self._linear(b.add("Add", queries, tokens), f"{name}.q_proj"), scale=True)
        scores = b.add("Add", b.add("MatMul", heads, k), self._log_areas)
        seen = b.add(
            "MatMul",
            b.add("Softmax", scores, axis=-1),
            b.transpose(v, *self._images, *(axis + len(self._images) for axis in (0, 2, 1))),
        )
        queries = self._after_image(layer, queries, self._linear(self._join(seen), f"{name}.out_proj"))
        name = f"{layer}.cross_attn_image_to_token"
        heads = self._heads(self._linear(b.add("Add", queries, tokens), f"{name}.k_proj"), scale=True)
        scores = b.add("Add", b.add("MatMul", heads, q), b.reshape(absent, self._batch, 1, self._tokens, 1))
        keys = self._norm(b.add("Add", keys, self._spread(name, scores, queries)), f"{layer}.norm4", EPS)
        return self._rest(queries, keys, tokens, absent)

    def write_with_masks(self, keys: str, prompt: str, absent: str, logits: str, has_mask: str) -> tuple[str, str]:
        """Write the decoder for prompts with previous masks: (B, 1, 256, 256), and (B, 1, 1) 1 where there is one.

        No preparation is possible: the mask is added to the embedding before the first layer.
        """
        b = self._b
        tokens, absent = self._prompt_tokens(prompt, absent)
        b.enter("decoder/mask")
        dense = self._dense(logits)
        no_mask = b.constant(self._arrays["prompt_encoder.no_mask_embed.weight"], "prompt_encoder.no_mask")
        keys = b.add("Add", keys, b.add("Mul", b.add("Sub", dense, no_mask), has_mask))
        layer = "mask_decoder.transformer.layers.0"
        b.enter("decoder/layers.0")
        queries = self._attend_self(layer, tokens, None, absent)
        return self._rest(*self._layer(layer, queries, keys, tokens, absent), tokens, absent)

    # Parts

    def _linear(self, x: str, name: str) -> str:
        return self._b.linear(x, name, self._arrays[f"{name}.weight"], self._arrays[f"{name}.bias"])

    def _norm(self, x: str, name: str, eps: float) -> str:
        return self._b.layer_norm(x, name, self._arrays[f"{name}.weight"], self._arrays[f"{name}.bias"], eps)

    def _heads(self, x: str, *, scale: bool = False) -> str:
        """Split (B, N, inner) into (B, heads, N, inner / heads), divided by the root of `HEAD` on request."""
        x = self._b.transpose(self._b.reshape(x, self._batch, self._tokens, HEADS, -1), 0, 2, 1, 3)
        return self._b.add("Div", x, self._b.scalar(math.sqrt(HEAD))) if scale else x

    def _join(self, x: str) -> str:
        """Join (B, heads, N, C) to (B, N, heads * C)."""
        return self._b.reshape(self._b.transpose(x, 0, 2, 1, 3), self._batch, self._tokens, -1)

    def _prompt_tokens(self, prompt: str, absent: str) -> tuple[str, str]:
        """Prepend the output tokens; they are never absent."""
        self._b.enter("decoder/tokens")
        outputs = np.concatenate([self._arrays[f"mask_decoder.{name}.weight"] for name in ("iou_token", "mask_tokens")])
        outputs = np.repeat(outputs[None], self._batch, 0)
        tokens = self._b.concat(1, self._b.constant(outputs, "mask_decoder.output_tokens"), prompt)
        return tokens, self._b.pad(absent, (0, OUTPUTS, 0, 0))

    def _attend_self(self, layer: str, queries: str, tokens: str | None, absent: str) -> str:
        """Apply token self-attention; the first layer adds no position and no residual."""
        b, name = self._b, f"{layer}.self_attn"
        placed = queries if tokens is None else b.add("Add", queries, tokens)
        sources = {"q": placed, "k": placed, "v": queries}
        q, k, v = (self._heads(self._linear(x, f"{name}.{part}_proj")) for part, x in sources.items())
        scores = b.add("Div", b.add("MatMul", q, b.transpose(k, 0, 1, 3, 2)), b.scalar(math.sqrt(WIDTH // HEADS)))
        scores = b.add("Add", scores, b.reshape(absent, self._batch, 1, 1, self._tokens))
        seen = self._linear(self._join(b.add("MatMul", b.add("Softmax", scores, axis=-1), v)), f"{name}.out_proj")
        return self._norm(seen if tokens is None else b.add("Add", queries, seen), f"{layer}.norm1", EPS)

    def _after_image(self, layer: str, queries: str, seen: str) -> str:
        b = self._b
        queries = self._norm(b.add("Add", queries, seen), f"{layer}.norm2", EPS)
        x = self._linear(b.add("Relu", self._linear(queries, f"{layer}.mlp.lin1")), f"{layer}.mlp.lin2")
        return self._norm(b.add("Add", queries, x), f"{layer}.norm3", EPS)

    def _layer(self, layer: str, queries: str, keys: str, tokens: str, absent: str) -> tuple[str, str]:
        """Apply one layer after its self-attention."""
        b = self._b
        placed = b.add("Add", keys, self._place)
        seen = self._attend_image(f"{layer}.cross_attn_token_to_image", b.add("Add", queries, tokens), keys, placed)
        queries = self._after_image(layer, queries, seen)
        name = f"{layer}.cross_attn_image_to_token"
        heads = self._heads(self._linear(b.add("Add", queries, tokens), f"{name}.k_proj"), scale=True)
        bias = self._arrays[f"{name}.q_proj.bias"].reshape(HEADS, HEAD, 1)
        offset = b.add("MatMul", heads, b.constant(bias, f"{name}.q_proj.bias_column"))
        offset = b.add("Add", offset, b.reshape(absent, self._batch, 1, self._tokens, 1))
        scores = self._absorbed_scores(f"{name}.q_proj", heads, placed)
        scores = b.add("Add", scores, offset)
        return queries, self._norm(b.add("Add", keys, self._spread(name, scores, queries)), f"{layer}.norm4", EPS)

    def _absorbed_scores(self, name: str, heads: str, placed: str) -> str:
        """Score heads (B, 8, N, 16) against projected tokens without projecting them: (B, 8, N, M)."""
        b = self._b
        weight = b.constant(self._arrays[f"{name}.weight"].reshape(HEADS, HEAD, WIDTH), f"{name}.weight_heads")
        x = b.reshape(b.add("MatMul", heads, weight), self._batch, HEADS * self._tokens, WIDTH)
        x = b.add("MatMul", x, b.transpose(placed, 0, 2, 1))
        return b.reshape(x, self._batch, HEADS, self._tokens, self._count)

    def _attend_image(self, name: str, tokens: str, keys: str, placed: str) -> str:
        """Attend from tokens (B, N, 256) to keys (B, M, 256): scores from `placed`, values from `keys`."""
        b = self._b
        heads = self._heads(self._linear(tokens, f"{name}.q_proj"), scale=True)
        scores = b.add("Add", self._absorbed_scores(f"{name}.k_proj", heads, placed), self._log_areas)
        shares = b.reshape(b.add("Softmax", scores, axis=-1), self._batch, HEADS * self._tokens, self._count)
        seen = b.reshape(b.add("MatMul", shares, keys), self._batch, HEADS, self._tokens, WIDTH)
        values = self._arrays[f"{name}.v_proj.weight"].reshape(HEADS, HEAD, WIDTH).transpose(0, 2, 1)
        seen = self._join(b.add("MatMul", seen, b.constant(values, f"{name}.v_proj.weight_heads")))
        bias = b.constant(self._arrays[f"{name}.v_proj.bias"], f"{name}.v_proj.bias")
        return self._linear(b.add("Add", seen, bias), f"{name}.out_proj")

    def _spread(self, name: str, scores: str, queries: str) -> str:
        """Apply scores (B, heads, N, M) from image tokens to prompt tokens; returns the updates (B, M, 256)."""
        b = self._b
        values = self._heads(self._linear(queries, f"{name}.v_proj"))
        out = self._arrays[f"{name}.out_proj.weight"].reshape(WIDTH, HEADS, HEAD).transpose(1, 2, 0)
        shares = b.reshape(b.add("Softmax", scores, axis=2), self._batch, HEADS * self._tokens, self._count)
        values = b.add("MatMul", values, b.constant(out, f"{name}.out_proj.weight_heads"))
        values = b.reshape(values, self._batch, HEADS * self._tokens, WIDTH)
        bias = b.constant(self._arrays[f"{name}.out_proj.bias"], f"{name}.out_proj.bias")
        return b.add("Add", b.add("MatMul", b.transpose(shares, 0, 2, 1), values), bias)

    def _rest(self, queries: str, keys: str, tokens: str, absent: str) -> tuple[str, str]:
        b, transformer = self._b, "mask_decoder.transformer"
        layer = f"{transformer}.layers.1"
        b.enter("decoder/layers.1")
        queries = self._attend_self(layer, queries, tokens, absent)
        queries, keys = self._layer(layer, queries, keys, tokens, absent)
        b.enter("decoder/final")
        name = f"{transformer}.final_attn_token_to_image"
        placed = b.add("Add", keys, self._place)
        seen = self._attend_image(name, b.add("Add", queries, tokens), keys, placed)
        queries = self._norm(b.add("Add", queries, seen), f"{transformer}.norm_final_attn", EPS)
        weights = [
            b.reshape(self._mlp(queries, 1 + index, f"mask_decoder.output_hypernetworks_mlps.{index}"), -1, 1, 32)
            for index in range(MASKS)
        ]
        iou = self._mlp(queries, 0, "mask_decoder.iou_prediction_head")
        return self._upscale(keys, b.concat(1, *weights)), iou

    def _mlp(self, queries: str, token: int, name: str) -> str:
        """Apply three linear layers with ReLUs between to one token, (B, out)."""
        x = self._b.select(queries, 1, token)
        for part in range(3):
            x = self._linear(x if not part else self._b.add("Relu", x), f"{name}.layers.{part}")
        return x

    def _upscale(self, keys: str, weights: str) -> str:
        """Upscale keys (B, M, 256) by hypernetwork weights (B, 4, 32) to logits (B, 4, 256, 256)."""
        b, batch, rows, columns = self._b, self._batch, self._rows, self._columns
        b.enter("decoder/upscale")
        if (rows, columns) != self._grid:
            x = b.slice(b.reshape(keys, batch, *self._grid, WIDTH), 1, 0, rows)
            keys = b.reshape(b.slice(x, 2, 0, columns), batch, rows * columns, WIDTH)
        name = "mask_decoder.output_upscaling"
        x = b.reshape(self._up(keys, f"{name}.0"), batch, rows * columns * 4, 64)
        x = b.add("Gelu", self._norm(x, f"{name}.1", 1e-6))
        x = b.reshape(b.add("Gelu", self._up(x, f"{name}.3")), batch, rows * columns * 16, 32)
        x = b.reshape(b.add("MatMul", x, b.transpose(weights, 0, 2, 1)), batch, rows, columns, 2, 2, 2, 2, MASKS)
        x = b.reshape(b.transpose(x, 0, 7, 1, 3, 5, 2, 4, 6), batch, MASKS, 4 * rows, 4 * columns)
        return b.pad(x, (0, 0, 0, 0, 0, 0, 4 * (GRID - rows), 4 * (GRID - columns)), OUTSIDE)

    def _up(self, x: str, name: str) -> str:
        """Apply a transposed convolution of stride 2 as a product: one row for each of four output pixels."""
        weight, bias = self._arrays[f"{name}.weight"], self._arrays[f"{name}.bias"]
        # (in, out, 2, 2) to (2 * 2 * out, in)
        return self._b.linear(x, name, weight.transpose(2, 3, 1, 0).reshape(-1, len(weight)), np.tile(bias, 4))

    def _dense(self, logits: str) -> str:
        """Encode (B, 1, 256, 256) logits of an earlier decode to (B, M, 256) on the decoder's grid."""
        b, name = self._b, "prompt_encoder.mask_downscaling"
        x = logits
        for part in (0, 3):
            weight, bias = (self._arrays[f"{name}.{part}.{kind}"] for kind in ("weight", "bias"))
            x = b.convolution(x, f"{name}.{part}", weight, bias, stride=2)
            x = b.add("Gelu", self._norm(b.transpose(x, 0, 2, 3, 1), f"{name}.{part + 1}", 1e-6))
            x = b.transpose(x, 0, 3, 1, 2)
        x = b.convolution(x, f"{name}.6", self._arrays[f"{name}.6.weight"], self._arrays[f"{name}.6.bias"])
        x = write_pooling(b, b.transpose(x, 0, 2, 3, 1), self._batch, self._rows, self._columns)
        return b.reshape(x, self._batch, self._count, WIDTH)
