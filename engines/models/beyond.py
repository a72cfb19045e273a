"""What a picture's surroundings look like inside TinyViT, as constants, so that they need not be encoded.

A 16:9 frame fills 36 of the 64 rows of tokens; the rest is padding, and encoding it is 44 % of the work. Simply leaving
it out puts zeros where the network's convolutions and windows saw the padding's own activations, which are far from
zero: the embedding is off by 28 %. But what lies beyond the picture hardly depends on the picture. So the rows that
neighbouring layers look at are recorded once, from synthetic pictures in the full square, and put there for every
frame; the embedding is then off by 7 %, and the decoder's masks agree better than those of an encoder that computes
six rows of padding itself (frames of DAVIS 2016, 84 clicks).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from engines.base import Floats

GRID = 64
SIDE = 1024
KEPT = 14
"""Rows or columns that are recorded: at most a window lacks less than this."""
PICTURES = 3


class Beyond(nn.Module):
    """Recorded activations below (axis 1) or to the right of (axis 2) `tokens` rows or columns of picture.

    As made, it records what passes in a run over the full square. After `freeze` it adds that to smaller runs.
    """

    STEM_PX = 8
    """The stem and the first stage, all convolutions, are given this much more of the real padding instead: two rows
    for two convolutions, and whole rows for the three halvings."""

    def __init__(self, axis: int, tokens: int) -> None:
        super().__init__()
        self.axis, self.tokens = axis, tokens
        self.cut = 0
        """The axis along which runs are extended; 0 while recording."""
        self._runs: dict[str, list[Tensor]] = {}

    def extend(self, name: str, x: Tensor, count: int) -> Tensor:
        """(1, H, W, C) with up to `count` more rows or columns, as many as the full square has."""
        if not self.cut:
            start = self.tokens * (int(x.shape[self.axis]) // GRID)
            length = min(KEPT, int(x.shape[self.axis]) - start)
            self._runs.setdefault(name, []).append(x.narrow(self.axis, start, length).clone())
            return x
        kept = self.get_buffer(f"at_{name}")
        return torch.cat([x, kept.narrow(self.axis, 0, min(count, kept.shape[self.axis]))], self.axis)

    def fill_window(self, name: str, x: Tensor, window: int) -> Tensor:
        """(1, H, W, C) in whole windows along the axis."""
        lacking = -int(x.shape[self.axis]) % window
        return self.extend(name, x, lacking) if lacking or not self.cut else x

    def drop_stem(self, x: Tensor) -> Tensor:
        """(1, C, H, W) after the first stage without what the extra padding has become."""
        return x.narrow(self.axis + 1, 0, int(x.shape[self.axis + 1]) - 1) if self.cut else x

    def freeze(self) -> None:
        """Keep the means of what was recorded, and extend from now on."""
        for name, seen in self._runs.items():
            self.register_buffer(f"at_{name}", torch.stack(seen).mean(0))
        self._runs.clear()
        self.cut = self.axis


def record(
    encode: Callable[[Tensor, Beyond], Tensor], normalise: Callable[[Tensor], Tensor], height: int, width: int
) -> tuple[Beyond, Tensor]:
    """The surroundings of pictures of height x width model pixels, of which one is 1024.

    encode: `TinyViT.forward`. normalise: (h, w, 3) uint8 to its input in the full square.
    Returns them with the mean embedding of the same pictures, (1, 64, 64, 256).
    """
    beyond = Beyond(1 if height < width else 2, -(-min(height, width) * GRID // SIDE))
    pictures = [torch.from_numpy(natural_noise(seed, height, width)) for seed in range(PICTURES)]
    mean = torch.stack([encode(normalise(picture), beyond) for picture in pictures]).mean(0)
    beyond.freeze()
    return beyond, mean


def natural_noise(seed: int, height: int, width: int) -> Floats:
    """A (height, width, 3) uint8 picture with the statistics of photographs: amplitude 1 / frequency, channels alike.

    Field, "Relations between the statistics of natural images and the response properties of cortical cells", 1987.
    """
    rng = np.random.default_rng(seed)
    frequency = np.hypot(np.fft.fftfreq(SIDE)[:, None], np.fft.fftfreq(SIDE)[None]) + 1 / SIDE
    layers = [np.fft.ifft2(np.fft.fft2(rng.normal(size=(SIDE, SIDE))) / frequency).real for _ in range(4)]
    grey, *colours = [(layer - layer.mean()) / layer.std() for layer in layers]
    picture = 118 + 50 * (0.8 * grey[..., None] + 0.5 * np.stack(colours, -1))
    return np.asarray(np.clip(picture[:height, :width], 0, 255).astype(np.uint8))
