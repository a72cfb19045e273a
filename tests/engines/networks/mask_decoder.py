"""Implements SAM's mask decoder, the reference of the fast one (Kirillov et al., "Segment Anything", 2023).

Parameter names are those of Meta's checkpoints, so that these load as they are.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as nnf
from torch import Tensor, nn

from engines.graphs import GRID
from tests.engines.networks.prompt import WIDTH, ChannelNorm

HEADS = 8
MASKS = 4
OUTPUTS = 1 + MASKS
"""Output tokens before the prompt's: one for the IoUs, one for each mask."""


class DecoderAttention(nn.Module):
    """Applies attention of `HEADS` heads in `inner` dimensions."""

    def __init__(self, inner: int) -> None:
        super().__init__()
        self.q_proj = nn.Linear(WIDTH, inner)
        self.k_proj = nn.Linear(WIDTH, inner)
        self.v_proj = nn.Linear(WIDTH, inner)
        self.out_proj = nn.Linear(inner, WIDTH)

    def forward(self, q: Tensor, k: Tensor, v: Tensor, absent: Tensor | None = None) -> Tensor:
        """Attend from (B, Nq, 256) to (B, Nk, 256) keys and values; `absent` (B, Nk) is added to the scores."""
        q, k, v = self.split(self.q_proj(q)), self.split(self.k_proj(k)), self.split(self.v_proj(v))
        scores = q @ k.transpose(2, 3) / math.sqrt(q.shape[3])
        if absent is not None:
            scores = scores + absent[:, None, None]
        return self.out_proj((scores.softmax(-1) @ v).transpose(1, 2).flatten(2))

    @staticmethod
    def split(x: Tensor) -> Tensor:
        """Split (B, N, inner) into (B, heads, N, inner / heads)."""
        return x.unflatten(2, (HEADS, -1)).transpose(1, 2)


class TwoLayerMlp(nn.Module):
    """Applies two linear layers with an activation between."""

    def __init__(self, width: int, inner: int, activate: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.lin1 = nn.Linear(width, inner)
        self.lin2 = nn.Linear(inner, width)
        self.activate = activate

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., C) to the same shape."""
        return self.lin2(self.activate(self.lin1(x)))


class TwoWayLayer(nn.Module):
    """Applies token self-attention, token-to-image attention, an MLP, then image-to-token attention."""

    def __init__(self) -> None:
        super().__init__()
        self.self_attn = DecoderAttention(WIDTH)
        self.norm1 = nn.LayerNorm(WIDTH)
        self.cross_attn_token_to_image = DecoderAttention(WIDTH // 2)
        self.norm2 = nn.LayerNorm(WIDTH)
        self.mlp = TwoLayerMlp(WIDTH, 2048, nnf.relu)
        self.norm3 = nn.LayerNorm(WIDTH)
        self.norm4 = nn.LayerNorm(WIDTH)
        self.cross_attn_image_to_token = DecoderAttention(WIDTH // 2)

    def attend_self(self, queries: Tensor, tokens: Tensor, first: bool, absent: Tensor | None) -> Tensor:
        """Apply token self-attention; the first layer adds no position and no residual."""
        q = queries if first else queries + tokens
        attended = self.self_attn(q, q, queries, absent)
        return self.norm1(attended if first else queries + attended)

    def forward(
        self, queries: Tensor, keys: Tensor, tokens: Tensor, place: Tensor, first: bool, absent: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Update queries (B, N, 256) and keys (B, M, 256), each with its positional encoding."""
        queries = self.attend_self(queries, tokens, first, absent)
        attended = self.cross_attn_token_to_image(queries + tokens, keys + place, keys)
        queries = self.norm2(queries + attended)
        queries = self.norm3(queries + self.mlp(queries))
        attended = self.cross_attn_image_to_token(keys + place, queries + tokens, queries, absent)
        return queries, self.norm4(keys + attended)


class TwoWayTransformer(nn.Module):
    """Applies two two-way layers and a final token-to-image attention."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList([TwoWayLayer(), TwoWayLayer()])
        self.final_attn_token_to_image = DecoderAttention(WIDTH // 2)
        self.norm_final_attn = nn.LayerNorm(WIDTH)

    def forward(self, tokens: Tensor, keys: Tensor, place: Tensor, absent: Tensor | None) -> tuple[Tensor, Tensor]:
        """Update tokens (B, N, 256) and keys (B, M, 256) with positions (M, 256) by cross-attention."""
        queries = tokens
        for index, layer in enumerate(self.layers):
            queries, keys = layer(queries, keys, tokens, place, index == 0, absent)
        attended = self.final_attn_token_to_image(queries + tokens, keys + place, keys)
        return self.norm_final_attn(queries + attended), keys


class DecoderMlp(nn.Module):
    """Applies three linear layers with ReLUs between."""

    def __init__(self, out: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, out)])

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., 256) to (..., out)."""
        return self.layers[2](self.layers[1](self.layers[0](x).relu()).relu())


class MaskDecoder(nn.Module):
    """Decodes prompt tokens and an image embedding to four masks and their predicted IoUs."""

    def __init__(self) -> None:
        super().__init__()
        self.transformer = TwoWayTransformer()
        self.iou_token = nn.Embedding(1, WIDTH)
        self.mask_tokens = nn.Embedding(MASKS, WIDTH)
        self.output_upscaling = nn.Sequential(
            nn.ConvTranspose2d(WIDTH, 64, 2, 2), ChannelNorm(64), nn.GELU(), nn.ConvTranspose2d(64, 32, 2, 2), nn.GELU()
        )
        self.output_hypernetworks_mlps = nn.ModuleList([DecoderMlp(32) for _ in range(MASKS)])
        self.iou_prediction_head = DecoderMlp(MASKS)

    def tokens(self, prompt: Tensor) -> Tensor:
        """Prepend the output tokens to (B, N, 256) prompt tokens; returns (B, 5 + N, 256)."""
        outputs = torch.cat([self.iou_token.weight, self.mask_tokens.weight])
        return torch.cat([outputs.expand(prompt.shape[0], OUTPUTS, WIDTH), prompt], 1)

    def forward(
        self, keys: Tensor, place: Tensor, prompt: Tensor, absent: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Decode prompt tokens to masks.

        keys: (B, 4096, 256), the embedding plus the dense prompt. place: (4096, 256). prompt: (B, N, 256).
        absent: (B, N), 0 for a token that counts and very negative for one that pads its batch.
        Returns logits (B, 4, 256, 256) and predicted IoU (B, 4).
        """
        if absent is not None:
            absent = nnf.pad(absent, (OUTPUTS, 0))
        queries, keys = self.transformer(self.tokens(prompt), keys, place, absent)
        fine = self.output_upscaling(keys.transpose(1, 2).unflatten(2, (GRID, GRID)))
        weights = torch.stack([mlp(queries[:, 1 + k]) for k, mlp in enumerate(self.output_hypernetworks_mlps)], 1)
        return (weights @ fine.flatten(2)).unflatten(2, fine.shape[2:]), self.iou_prediction_head(queries[:, 0])
