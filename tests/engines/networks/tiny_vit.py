"""Implements TinyViT, MobileSAM's image encoder of 5 M parameters (Wu et al., 2022; Zhang et al., 2023).

For inference only: batch normalisation is folded into the convolutions, the relative position biases are whole
tables, and queries are scaled beforehand, so that each block has the fewest operations. `engines.models.weight_arrays`
converts published weights to this form.

Between convolutions tokens are a flat list, (1, H * W, C). In four dimensions OpenVINO moves the transposes round each
convolution past the neighbouring additions, where they cost real copies: a fifth of the encoder's time.
"""

from __future__ import annotations

import torch
import torch.nn.functional as nnf
from torch import Tensor, nn

WIDTHS = (64, 128, 160, 320)
DEPTHS = (2, 2, 6, 2)
HEADS = (2, 4, 5, 10)
WINDOWS = (7, 7, 14, 7)
STRIDES = (2, 2, 1)
"""Of the merges after stages 0 to 2; the last keeps its size, so that 1024 pixels give 64 tokens."""
HEAD_WIDTH = 32
EMBED_WIDTH = 256


def flat(x: Tensor) -> Tensor:
    """Flatten (1, C, H, W) to (1, H * W, C)."""
    return x.permute(0, 2, 3, 1).reshape(1, x.shape[2] * x.shape[3], x.shape[1])


def unflat(x: Tensor, rows: int, columns: int) -> Tensor:
    """Unflatten (1, rows * columns, C) to (1, C, rows, columns)."""
    return x.view(1, rows, columns, x.shape[2]).permute(0, 3, 1, 2)


def depthwise(width: int, stride: int = 1) -> nn.Conv2d:
    """Create a 3 x 3 depthwise convolution."""
    return nn.Conv2d(width, width, 3, stride, 1, groups=width)


class MBConv(nn.Module):
    """Applies an inverted bottleneck: widens, convolves each channel, narrows, adds."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, 4 * width, 1)
        self.conv2 = depthwise(4 * width)
        self.conv3 = nn.Conv2d(4 * width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (1, C, H, W) to the same shape."""
        return nnf.gelu(x + self.conv3(nnf.gelu(self.conv2(nnf.gelu(self.conv1(x))))))


class PatchMerging(nn.Module):
    """Changes the width between stages, and halves the size where the stride is 2."""

    def __init__(self, width: int, wider: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, wider, 1)
        self.conv2 = depthwise(wider, stride)
        self.conv3 = nn.Conv2d(wider, wider, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (1, C, H, W) to (1, C', H / stride, W / stride); stride 2 needs no neighbour at the picture's end."""
        x = nnf.gelu(self.conv1(x))
        x = self.conv2(x)
        return self.conv3(nnf.gelu(x))


class WindowAttention(nn.Module):
    """Applies attention in windows of `window` x `window` tokens, with a learned bias for every pair of positions.

    `qkv` gives all queries, then all keys, then all values, each head by head; `bias` is (heads, N, N).
    """

    def __init__(self, width: int, heads: int, window: int) -> None:
        super().__init__()
        self.heads, self.window = heads, window
        self.norm = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)
        self.bias = nn.Parameter(torch.zeros(heads, window**2, window**2))

    def forward(self, x: Tensor) -> Tensor:
        """Map (1, H, W, C) to the same shape in whole windows, padded with zeros at the right and bottom."""
        size = self.window
        _, rows, columns, width = (int(side) for side in x.shape)
        down, across = -(-rows // size), -(-columns // size)
        if (down * size, across * size) != (rows, columns):
            x = nnf.pad(x, (0, 0, 0, across * size - columns, 0, down * size - rows))
        x = x.reshape(down, size, across, size, width).transpose(1, 2).reshape(down * across, size * size, width)
        qkv = self.qkv(self.norm(x)).view(-1, size * size, 3, self.heads, HEAD_WIDTH).permute(2, 0, 3, 1, 4)
        scores = qkv[0] @ qkv[1].transpose(2, 3) + self.bias
        x = (scores.softmax(-1) @ qkv[2]).transpose(1, 2).reshape(-1, size * size, width)
        x = self.proj(x).view(down, across, size, size, width).transpose(1, 2)
        return x.reshape(1, down * size, across * size, width)


class TinyVitMlp(nn.Module):
    """Applies a normalisation and two linear layers with a GELU between."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.fc1 = nn.Linear(width, 4 * width)
        self.fc2 = nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., C) to the same shape."""
        return self.fc2(nnf.gelu(self.fc1(self.norm(x))))


class TinyVitBlock(nn.Module):
    """Applies window attention, a convolution that connects neighbouring windows, and an MLP."""

    def __init__(self, width: int, heads: int, window: int) -> None:
        super().__init__()
        self.attn = WindowAttention(width, heads, window)
        self.local_conv = depthwise(width)
        self.mlp = TinyVitMlp(width)

    def forward(self, x: Tensor, rows: int, columns: int) -> Tensor:
        """Map (1, rows * columns, C) to the same shape."""
        tokens = x.view(1, rows, columns, x.shape[2])
        attended = self.attn(tokens)[:, :rows, :columns]
        x = (x + attended.reshape(x.shape)).view(1, rows, columns, x.shape[2])
        x = flat(self.local_conv(x.permute(0, 3, 1, 2)))
        return x + self.mlp(x)


class TinyVitStage(nn.Module):
    """Holds the blocks of one width and the merge to the next; the last stage has no merge."""

    def __init__(self, blocks: list[nn.Module], downsample: PatchMerging | None) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)
        self.downsample = downsample


class TinyViT(nn.Module):
    """Encodes a normalised picture to its embedding.

    Height and width are multiples of 16; multiples of 224 need no padding inside.
    """

    def __init__(self) -> None:
        super().__init__()
        self.patch_embed = nn.ModuleList([nn.Conv2d(3, 32, 3, 2, 1), nn.Conv2d(32, 64, 3, 2, 1)])
        stages: list[TinyVitStage] = []
        for index, width in enumerate(WIDTHS):
            blocks: list[nn.Module] = [
                TinyVitBlock(width, HEADS[index], WINDOWS[index]) if index else MBConv(width)
                for _ in range(DEPTHS[index])
            ]
            merge = PatchMerging(width, WIDTHS[index + 1], STRIDES[index]) if index < 3 else None
            stages.append(TinyVitStage(blocks, merge))
        self.layers = nn.ModuleList(stages)
        self.neck = nn.ModuleList([
            nn.Conv2d(WIDTHS[-1], EMBED_WIDTH, 1, bias=False), nn.LayerNorm(EMBED_WIDTH, eps=1e-6),
            nn.Conv2d(EMBED_WIDTH, EMBED_WIDTH, 3, padding=1, bias=False), nn.LayerNorm(EMBED_WIDTH, eps=1e-6),
        ])  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        """Map (1, 3, H, W) float, RGB, normalised, to (1, H / 16, W / 16, 256)."""
        x = self.patch_embed[1](nnf.gelu(self.patch_embed[0](x)))
        rows = columns = 0
        for index, stage in enumerate(self.layers):
            for block in stage.blocks:
                x = block(x, rows, columns) if index else block(x)
            if index:
                x = unflat(x, rows, columns)
            if stage.downsample is not None:
                x = stage.downsample(x)
                rows, columns = (int(side) for side in x.shape[2:])
                x = flat(x)
        x = self.neck[1](flat(self.neck[0](x))).view(1, rows, columns, EMBED_WIDTH)
        x = self.neck[3](flat(self.neck[2](x.permute(0, 3, 1, 2))))
        return x.view(1, rows, columns, EMBED_WIDTH)
