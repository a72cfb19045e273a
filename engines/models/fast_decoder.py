"""Implements `MaskDecoder` with half the arithmetic; equal except for rounding.

Differences, for M image tokens (4096 when a picture fills the square), N about 7 tokens, 8 heads of 16:
- all that depends only on the image (layer 0's keys and values for the tokens, its queries from the image) is
  computed once per image by `DecoderPreparation`;
- elsewhere no projection is applied to all M tokens. A head's scores q (W x) are (q W) x, and a sum of projected values
  P (V x) is (P x) V, so the narrow side carries the projection ("absorption", as in multi-head latent attention,
  DeepSeek-V2, 2024). A key bias cancels in the softmax; a query bias becomes an offset per token;
- a transposed convolution of stride 2 and size 2 is one matrix product, so upscaling stays channels last, and the
  only shuffle of pixels is done on the four finished maps;
- the padding is pooled into blocks (`engines.graphs.block_edges`), and not upscaled.
"""

from __future__ import annotations

import math
from itertools import pairwise

import torch
import torch.nn.functional as nnf
from torch import Tensor, nn

from engines.graphs import GRID, block_edges
from engines.models.mask_decoder import HEADS, MASKS, OUTPUTS, DecoderAttention, MaskDecoder, TwoWayLayer
from engines.models.prompt import WIDTH, PromptEncoder

OUTSIDE = -32.0
"""Logit in the padding, which is never segmented."""
HEAD = WIDTH // 2 // HEADS


def split_weight(linear: nn.Linear) -> Tensor:
    """Split a projection's (128, 256) weight into (heads, 16, 256)."""
    return linear.weight.unflatten(0, (HEADS, HEAD))


def _means(tokens: int) -> Tensor:
    """Return an (n, 64) matrix that averages rows or columns of the full grid to the decoder's."""
    borders = block_edges(tokens)
    means = torch.zeros(len(borders) - 1, GRID)
    for row, (begin, end) in enumerate(pairwise(borders)):
        means[row, begin:end] = 1 / (end - begin)
    return means


class DecoderBlocks(nn.Module):
    """Pools the full token grid to the decoder's, for content of rows x columns at the top left."""

    def __init__(self, rows: int, columns: int) -> None:
        super().__init__()
        self.whole = (rows, columns) == (GRID, GRID)
        self.register_buffer("down", _means(rows))
        self.register_buffer("across", _means(columns))

    def forward(self, x: Tensor) -> Tensor:
        """Pool (B, 64, 64, C) to (B, R, C', C), see `EncoderGraph.grid`."""
        if self.whole:
            return x
        x = (self.down @ x.flatten(2)).unflatten(2, x.shape[2:])
        return self.across @ x

    def log_areas(self) -> Tensor:
        """Return (R * C',): the logarithm of each block's token count, which attention adds to its scores."""
        tokens = [1 / means.max(1).values for means in (self.down, self.across)]
        return torch.outer(*tokens).log().flatten()


class DecoderPreparation(nn.Module):
    """Computes the prompt-independent tensors of an image of rows x columns tokens."""

    def __init__(self, prompt: PromptEncoder, decoder: MaskDecoder, rows: int = GRID, columns: int = GRID) -> None:
        super().__init__()
        layer = decoder.transformer.layers[0]
        to_image, to_token = layer.cross_attn_token_to_image, layer.cross_attn_image_to_token
        self.register_buffer("no_mask", prompt.no_mask_embed.weight.detach())
        # The position is added to the first two projections' inputs, not the third's; added after, it is a constant.
        place = DecoderBlocks(rows, columns)(prompt.pe_layer.grid().view(1, GRID, GRID, WIDTH)).reshape(-1, WIDTH)
        parts = {to_image.k_proj: place, to_token.q_proj: place, to_image.v_proj: torch.zeros_like(place)}
        constants = [nnf.linear(added, part.weight, part.bias) for part, added in parts.items()]
        self.register_buffer("weight", torch.cat([part.weight for part in parts]).detach())
        self.register_buffer("constant", torch.cat(constants, 1).T.contiguous().detach())

    def forward(self, embedding: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Map (M, 256) to keys (M, 256), and k, q and v per head, each (8, 16, M)."""
        keys = embedding + self.no_mask
        k, q, v = (self.weight @ keys.T + self.constant).view(3, HEADS, HEAD, -1).unbind(0)
        return keys, k, q, v


class FastDecoder(nn.Module):
    """A `MaskDecoder` that decodes content of `rows` x `columns` tokens at the top left of 64 x 64."""

    def __init__(self, prompt: PromptEncoder, decoder: MaskDecoder, rows: int = GRID, columns: int = GRID) -> None:
        super().__init__()
        self.prompt, self.decoder, self.rows, self.columns = prompt, decoder, rows, columns
        self.blocks = DecoderBlocks(rows, columns)
        place = self.blocks(prompt.pe_layer.grid().detach().view(1, GRID, GRID, WIDTH))
        self.grid = place.shape[1:3]
        self.register_buffer("place", place.reshape(-1, WIDTH))
        self.register_buffer("log_areas", self.blocks.log_areas())
        first, second = decoder.output_upscaling[0], decoder.output_upscaling[3]
        # (in, out, 2, 2) to (2 * 2 * out, in): one row for each of the four output pixels of a pixel
        self.register_buffer("up1", first.weight.permute(2, 3, 1, 0).flatten(0, 2).detach())
        self.register_buffer("up1_bias", first.bias.repeat(4).detach())
        self.register_buffer("up2", second.weight.permute(2, 3, 1, 0).flatten(0, 2).detach())
        self.register_buffer("up2_bias", second.bias.repeat(4).detach())

    def forward(
        self, keys: Tensor, k: Tensor, q: Tensor, v: Tensor, prompt: Tensor, absent: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Decode prompts without masks.

        keys, k, q, v: the outputs of `DecoderPreparation`. prompt: (B, N, 256). absent: (B, N) as in `MaskDecoder`.
        Returns logits (B, 4, 256, 256) and predicted IoU (B, 4).
        """
        tokens, absent = self.decoder.tokens(prompt), nnf.pad(absent, (OUTPUTS, 0))
        layer = self.decoder.transformer.layers[0]
        queries = layer.attend_self(tokens, tokens, True, absent)
        attention = layer.cross_attn_token_to_image
        scaled = attention.split(attention.q_proj(queries + tokens)) / math.sqrt(HEAD)
        attended = (scaled @ k + self.log_areas).softmax(-1) @ v.transpose(1, 2)
        queries = self._update_queries(layer, queries, attention.out_proj(attended.transpose(1, 2).flatten(2)))
        back = layer.cross_attn_image_to_token
        heads = back.split(back.k_proj(queries + tokens)) / math.sqrt(HEAD)
        scores = heads @ q + absent[:, None, :, None]
        updates = self._spread(back, scores, queries)
        return self._rest(queries, layer.norm4(keys + updates), tokens, absent)

    def with_masks(
        self, keys: Tensor, prompt: Tensor, absent: Tensor, logits: Tensor, has_mask: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Decode prompts with previous masks: (B, 1, 256, 256), and (B, 1, 1) 1 where there is one, else 0.

        No preparation is possible: the mask is added to the embedding before the first layer.
        """
        tokens, absent = self.decoder.tokens(prompt), nnf.pad(absent, (OUTPUTS, 0))
        dense = self.blocks(self.prompt.masks(logits).unflatten(1, (GRID, GRID))).flatten(1, 2)
        added = (dense - self.prompt.no_mask_embed.weight) * has_mask
        layer = self.decoder.transformer.layers[0]
        queries = layer.attend_self(tokens, tokens, True, absent)
        return self._rest(*self._layer(layer, queries, keys + added, tokens, absent), tokens, absent)

    def _rest(self, queries: Tensor, keys: Tensor, tokens: Tensor, absent: Tensor) -> tuple[Tensor, Tensor]:
        transformer = self.decoder.transformer
        layer = transformer.layers[1]
        queries = layer.attend_self(queries, tokens, False, absent)
        queries, keys = self._layer(layer, queries, keys, tokens, absent)
        attended = self._attend(transformer.final_attn_token_to_image, queries + tokens, keys, keys + self.place)
        queries = transformer.norm_final_attn(queries + attended)
        mlps = self.decoder.output_hypernetworks_mlps
        weights = torch.stack([mlp(queries[:, 1 + index]) for index, mlp in enumerate(mlps)], 1)
        return self._upscale(keys, weights), self.decoder.iou_prediction_head(queries[:, 0])

    def _layer(
        self, layer: TwoWayLayer, queries: Tensor, keys: Tensor, tokens: Tensor, absent: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Apply one layer after its self-attention."""
        placed = keys + self.place
        attended = self._attend(layer.cross_attn_token_to_image, queries + tokens, keys, placed)
        queries = self._update_queries(layer, queries, attended)
        back = layer.cross_attn_image_to_token
        heads = back.split(back.k_proj(queries + tokens)) / math.sqrt(HEAD)
        offset = heads @ back.q_proj.bias.view(HEADS, HEAD, 1) + absent[:, None, :, None]
        scores = (heads @ split_weight(back.q_proj)).flatten(1, 2) @ placed.transpose(1, 2)
        scores = scores.unflatten(1, (HEADS, -1)) + offset
        return queries, layer.norm4(keys + self._spread(back, scores, queries))

    @staticmethod
    def _update_queries(layer: TwoWayLayer, queries: Tensor, attended: Tensor) -> Tensor:
        queries = layer.norm2(queries + attended)
        return layer.norm3(queries + layer.mlp(queries))

    def _attend(self, attention: DecoderAttention, tokens: Tensor, keys: Tensor, placed: Tensor) -> Tensor:
        """Attend from tokens (B, N, 256) to keys (B, M, 256): scores from `placed`, values from `keys`."""
        heads = attention.split(attention.q_proj(tokens)) / math.sqrt(HEAD)
        scaled = (heads @ split_weight(attention.k_proj)).flatten(1, 2)
        shares = (scaled @ placed.transpose(1, 2) + self.log_areas).softmax(-1)
        attended = (shares @ keys).unflatten(1, (HEADS, -1)) @ split_weight(attention.v_proj).transpose(1, 2)
        return attention.out_proj(attended.transpose(1, 2).flatten(2) + attention.v_proj.bias)

    @staticmethod
    def _spread(attention: DecoderAttention, scores: Tensor, queries: Tensor) -> Tensor:
        """Apply scores (B, heads, N, M) from image tokens to prompt tokens; returns the updates (B, M, 256)."""
        values = attention.split(attention.v_proj(queries))
        out = attention.out_proj.weight.unflatten(1, (HEADS, HEAD)).permute(1, 2, 0)
        shares = scores.softmax(2).flatten(1, 2)
        return shares.transpose(1, 2) @ (values @ out).flatten(1, 2) + attention.out_proj.bias

    def _upscale(self, keys: Tensor, weights: Tensor) -> Tensor:
        """Upscale keys (B, M, 256) by hypernetwork weights (B, 4, 32) to logits (B, 4, 256, 256)."""
        batch, rows, columns = keys.shape[0], self.rows, self.columns
        if (rows, columns) != self.grid:
            keys = keys.unflatten(1, self.grid)[:, :rows, :columns].reshape(batch, rows * columns, WIDTH)
        norm = self.decoder.output_upscaling[1]
        x = nnf.linear(keys, self.up1, self.up1_bias).view(batch, rows * columns * 4, 64)
        x = nnf.gelu(nnf.layer_norm(x, (64,), norm.weight, norm.bias, 1e-6))
        x = nnf.gelu(nnf.linear(x, self.up2, self.up2_bias)).view(batch, rows * columns * 16, 32)
        x = (x @ weights.transpose(1, 2)).view(batch, rows, columns, 2, 2, 2, 2, MASKS)
        x = x.permute(0, 7, 1, 3, 5, 2, 4, 6).reshape(batch, MASKS, 4 * rows, 4 * columns)
        return nnf.pad(x, (0, 4 * (GRID - columns), 0, 4 * (GRID - rows)), value=OUTSIDE)
