"""Records the activations of TinyViT's padding as constants, so that the padding is not encoded.

A 16:9 frame fills 36 of the 64 rows of tokens, less where it is encoded smaller; the rest is padding, and encoding it
is most of the work. Leaving it out puts zeros where convolutions and windows had the padding's own activations, which
are far from zero: the embedding's error is 28 %. But these activations hardly depend on the picture. So the rows and
columns that neighbouring layers read are recorded once, from synthetic pictures in the full square, and inserted for
every frame; the error is then 7 %, and 4 % with a ring of real padding between the picture and the constants (`RING`;
frames of DAVIS 2016).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor, nn

from engines.base import Floats
from engines.graphs import GRID, TOKEN_PX
from engines.letterbox import MODEL_SIDE

KEPT = 14
"""Rows or columns that are recorded: a window lacks fewer than this."""
PICTURES = 3
RING = 1
"""Tokens of the real padding that are encoded with the picture and dropped afterwards: the errors are next to the
constants. On video frames and photographs of 288 x 512 the embedding's error is 17 % without a ring, 6 % with one token
(for 5 % more time) and 3 % with two (10 %); the nearest of four masks has an IoU of 0.95, 0.98, 0.98 with that of the
full square."""


class PaddingConstants(nn.Module):
    """Holds the activations below and to the right of `rows` x `columns` tokens, the picture's and its ring's.

    Until `freeze`, it records them from runs over the full square; afterwards it adds them to smaller runs.
    """

    STEM_PX = 8
    """Real padding that the stem and the first stage, all convolutions, get instead: two rows for two convolutions, and
    whole rows for the three halvings."""

    def __init__(self, rows: int, columns: int) -> None:
        super().__init__()
        self.rows, self.columns = rows, columns
        self.frozen = False
        self._runs: dict[str, list[tuple[Tensor, Tensor]]] = {}

    @property
    def below(self) -> bool:
        """Return whether runs are extended by rows."""
        return self.frozen and self.rows < GRID

    @property
    def right(self) -> bool:
        """Return whether runs are extended by columns."""
        return self.frozen and self.columns < GRID

    def extend(self, name: str, x: Tensor, down: int, across: int) -> Tensor:
        """Extend (1, H, W, C) by up to `down` rows and `across` columns, as many as the full square has."""
        if not self.frozen:
            step = int(x.shape[1]) // GRID
            rows, columns = self.rows * step, self.columns * step
            under = x[:, rows : rows + KEPT, :columns].clone()
            beside = x[:, : rows + KEPT, columns : columns + KEPT].clone()
            self._runs.setdefault(name, []).append((under, beside))
            return x
        if self.below:
            x = torch.cat([x, self.get_buffer(f"under_{name}")[:, :down]], 1)
        if self.right:
            x = torch.cat([x, self.get_buffer(f"beside_{name}")[:, : x.shape[1], :across]], 2)
        return x

    def fill_windows(self, name: str, x: Tensor, window: int) -> Tensor:
        """Extend (1, H, W, C) to whole windows on the sides that are cut."""
        return self.extend(name, x, -int(x.shape[1]) % window, -int(x.shape[2]) % window)

    def drop_stem(self, x: Tensor) -> Tensor:
        """Remove the extra padding from (1, C, H, W) after the first stage."""
        return x[:, :, : int(x.shape[2]) - self.below, : int(x.shape[3]) - self.right]

    def freeze(self) -> None:
        """Replace the recordings by their means, and extend from now on."""
        for name, runs in self._runs.items():
            for kind, parts in zip(("under", "beside"), zip(*runs, strict=True), strict=True):
                self.register_buffer(f"{kind}_{name}", torch.stack(parts).mean(0))
        self._runs.clear()
        self.frozen = True


def record_constants(
    encode: Callable[[Tensor, PaddingConstants], Tensor], normalise: Callable[[Tensor], Tensor], height: int, width: int
) -> tuple[PaddingConstants, Tensor]:
    """Record the padding's activations for pictures of height x width model pixels.

    encode: `TinyViT.forward`. normalise: (h, w, 3) uint8 to its input in the full square.
    Returns them with the mean embedding of the same pictures, (1, 64, 64, 256).
    """
    beyond = PaddingConstants(*(min(GRID, -(-side // TOKEN_PX) + RING) for side in (height, width)))
    pictures = [torch.from_numpy(natural_noise(seed, height, width)) for seed in range(PICTURES)]
    mean = torch.stack([encode(normalise(picture), beyond) for picture in pictures]).mean(0)
    beyond.freeze()
    return beyond, mean


def natural_noise(seed: int, height: int, width: int) -> Floats:
    """Generate (height, width, 3) uint8 noise with the statistics of photographs.

    Its amplitude is 1 / frequency, and its channels are similar.

    Field, "Relations between the statistics of natural images and the response properties of cortical cells", 1987.
    """
    return _noise(seed)[:height, :width].copy()


@lru_cache(maxsize=4)
def _noise(seed: int) -> Floats:
    """Generate the whole square; every shape uses the same pictures."""
    rng = np.random.default_rng(seed)
    frequency = np.hypot(np.fft.fftfreq(MODEL_SIDE)[:, None], np.fft.fftfreq(MODEL_SIDE)[None]) + 1 / MODEL_SIDE
    layers = [np.fft.ifft2(np.fft.fft2(rng.normal(size=(MODEL_SIDE, MODEL_SIDE))) / frequency).real for _ in range(4)]
    grey, *colours = [(layer - layer.mean()) / layer.std() for layer in layers]
    picture = 118 + 50 * (0.8 * grey[..., None] + 0.5 * np.stack(colours, -1))
    return np.asarray(np.clip(picture, 0, 255).astype(np.uint8))
