"""Implements SAM's prompt encoder for points, boxes and masks (Kirillov et al., "Segment Anything", 2023).

Parameter names are those of Meta's checkpoints, so that these load as they are.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as nnf
from torch import Tensor, nn

from engines.graphs import GRID
from engines.letterbox import MODEL_SIDE

WIDTH = 256


class ChannelNorm(nn.Module):
    """Applies layer normalisation over dimension 1 of (B, C, H, W)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.bias = nn.Parameter(torch.zeros(width))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise (B, C, H, W)."""
        x = nnf.layer_norm(x.permute(0, 2, 3, 1), self.weight.shape, self.weight, self.bias, 1e-6)
        return x.permute(0, 3, 1, 2)


class PositionEmbedding(nn.Module):
    """Computes random Fourier features of a position (Tancik et al., 2020)."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("positional_encoding_gaussian_matrix", torch.randn(2, WIDTH // 2))

    def forward(self, xy: Tensor) -> Tensor:
        """Map (..., 2) in 0..1 to (..., 256)."""
        angle = 2 * math.pi * ((2 * xy - 1) @ self.positional_encoding_gaussian_matrix)
        return torch.cat([angle.sin(), angle.cos()], -1)

    def grid(self) -> Tensor:
        """Encode the token centres row by row, (64 * 64, 256)."""
        middle = (torch.arange(GRID, dtype=torch.float32) + 0.5) / GRID
        rows, columns = torch.meshgrid(middle, middle, indexing="ij")
        return self(torch.stack([columns, rows], -1)).reshape(GRID * GRID, WIDTH)


class PromptEncoder(nn.Module):
    """Encodes sparse prompts to tokens, dense prompts to a map added to the image embedding."""

    def __init__(self) -> None:
        super().__init__()
        self.pe_layer = PositionEmbedding()
        self.point_embeddings = nn.ModuleList([nn.Embedding(1, WIDTH) for _ in range(4)])
        self.not_a_point_embed = nn.Embedding(1, WIDTH)
        self.no_mask_embed = nn.Embedding(1, WIDTH)
        self.mask_downscaling = nn.Sequential(
            nn.Conv2d(1, 4, 2, 2), ChannelNorm(4), nn.GELU(),
            nn.Conv2d(4, 16, 2, 2), ChannelNorm(16), nn.GELU(),
            nn.Conv2d(16, WIDTH, 1),
        )  # fmt: skip

    def points(self, points: Tensor, labels: Tensor) -> Tensor:
        """Encode (B, N, 2) model pixels and labels (-1 padding, 0, 1, 2 and 3 a box's corners) to (B, N, 256)."""
        place = self.pe_layer((points + 0.5) / MODEL_SIDE)
        kinds = torch.cat([self.not_a_point_embed.weight, *(table.weight for table in self.point_embeddings)])
        return torch.where((labels < 0)[..., None], torch.zeros_like(place), place) + kinds[labels + 1]

    def masks(self, logits: Tensor) -> Tensor:
        """Encode (B, 1, 256, 256) logits of an earlier decode to (B, 4096, 256)."""
        return self.mask_downscaling(logits).flatten(2).transpose(1, 2)
