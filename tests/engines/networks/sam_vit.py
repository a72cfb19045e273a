"""Implements SAM's own image encoders, plain vision transformers (Kirillov et al., 2023; Li et al., "ViTDet", 2022).

Most blocks attend inside windows of 14 x 14 tokens, four of them everywhere; every attention adds decomposed relative
positions. Parameter names are those of Meta's checkpoints, so that these load as they are.
"""

from __future__ import annotations

import torch
import torch.nn.functional as nnf
from torch import Tensor, nn

from engines.graphs import GRID
from engines.letterbox import TOKEN_PX
from engines.models.sam_vit_graph import VitShape
from tests.engines.networks.mask_decoder import TwoLayerMlp
from tests.engines.networks.prompt import WIDTH, ChannelNorm

WINDOW = 14


def relative(side: int, table: Tensor) -> Tensor:
    """Expand (2 * side - 1, D) learned offsets to (side, side, D), indexed by query and key."""
    places = torch.arange(side, device=table.device)
    return table[places[:, None] - places[None] + side - 1]


class VitAttention(nn.Module):
    """Applies attention over `side` x `side` tokens with decomposed relative positions."""

    def __init__(self, width: int, heads: int, side: int) -> None:
        super().__init__()
        self.heads, self.side = heads, side
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)
        self.rel_pos_h = nn.Parameter(torch.zeros(2 * side - 1, width // heads))
        self.rel_pos_w = nn.Parameter(torch.zeros(2 * side - 1, width // heads))

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, side, side, C) to the same shape."""
        side, count, batch = self.side, self.side**2, int(x.shape[0])
        qkv = self.qkv(x).view(batch, count, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        q, k, v = qkv[0], qkv[1], qkv[2]
        square = q.unflatten(2, (side, side))
        down = square @ relative(side, self.rel_pos_h).transpose(1, 2)
        across = (square.transpose(2, 3) @ relative(side, self.rel_pos_w).transpose(1, 2)).transpose(2, 3)
        bias = (down[..., :, None] + across[..., None, :]).reshape(batch, self.heads, count, count)
        out = nnf.scaled_dot_product_attention(q, k, v, attn_mask=bias, scale=int(q.shape[3]) ** -0.5)
        return self.proj(out.transpose(1, 2).reshape(batch, side, side, -1))


class VitBlock(nn.Module):
    """Applies attention, in windows unless `everywhere`, and an MLP, each with its residual."""

    def __init__(self, shape: VitShape, everywhere: bool, grid: int) -> None:
        super().__init__()
        self.global_blocks = everywhere
        self.norm1 = nn.LayerNorm(shape.width, eps=1e-6)
        self.attn = VitAttention(shape.width, shape.heads, grid if everywhere else WINDOW)
        self.norm2 = nn.LayerNorm(shape.width, eps=1e-6)
        self.mlp = TwoLayerMlp(shape.width, 4 * shape.width, nnf.gelu)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, H, W, C) to the same shape."""
        normed = self.norm1(x)
        x = x + (self.attn(normed) if self.global_blocks else self._attend_in_windows(normed))
        return x + self.mlp(self.norm2(x))

    def _attend_in_windows(self, x: Tensor) -> Tensor:
        # ints, not traced tensors: TensorRT rounds the division of tensors differently
        batch, rows, columns, width = (int(length) for length in x.shape)
        down, across = -(-rows // WINDOW), -(-columns // WINDOW)
        x = nnf.pad(x, (0, 0, 0, across * WINDOW - columns, 0, down * WINDOW - rows))
        x = x.view(batch, down, WINDOW, across, WINDOW, width).transpose(2, 3).reshape(-1, WINDOW, WINDOW, width)
        x = self.attn(x).view(batch, down, across, WINDOW, WINDOW, width).transpose(2, 3)
        return x.reshape(batch, down * WINDOW, across * WINDOW, width)[:, :rows, :columns]


class PatchEmbed(nn.Module):
    """Embeds patches of pixels as tokens, channels last."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, width, TOKEN_PX, TOKEN_PX)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, 3, H, W) to (B, H / 16, W / 16, C)."""
        return self.proj(x).permute(0, 2, 3, 1)


class SamVit(nn.Module):
    """Encodes a normalised 1024 x 1024 picture to its embedding; `grid` differs from 64 only in tests."""

    def __init__(self, shape: VitShape, grid: int = GRID) -> None:
        super().__init__()
        self.patch_embed = PatchEmbed(shape.width)
        self.pos_embed = nn.Parameter(torch.zeros(1, grid, grid, shape.width))
        self.blocks = nn.ModuleList(
            [VitBlock(shape, index in shape.global_blocks, grid) for index in range(shape.depth)]
        )
        self.neck = nn.Sequential(
            nn.Conv2d(shape.width, WIDTH, 1, bias=False), ChannelNorm(WIDTH),
            nn.Conv2d(WIDTH, WIDTH, 3, padding=1, bias=False), ChannelNorm(WIDTH),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, 3, 1024, 1024) float, RGB, normalised, to (B, 64, 64, 256)."""
        x = self.patch_embed(x) + self.pos_embed
        for block in self.blocks:
            x = block(x)
        return self.neck(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
