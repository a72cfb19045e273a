"""Stands in for a picture's padding inside TinyViT, so that it need not be encoded.

A 16:9 frame fills 36 of the 64 rows of tokens, less where it is encoded smaller; the rest is padding, and encoding it
is most of the work. Simply leaving it out puts zeros where the network's convolutions and windows saw the padding's own
activations, which are far from zero: the embedding is off by 25 %. But those hardly depend on the picture, nor on the
place along its edge. So the means along the edge of the rows and columns that neighbouring layers read were measured
once, from synthetic pictures in the full square (`benchmarks.measure_padding`), and are put there for every frame.
With a ring of two tokens of real padding between the picture and the constants the embedding is off by 4 %.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engines.base import ModelError
from engines.graphs import GRID, block_edges

Floats = NDArray[np.float32]
RING = 2
"""Tokens of the real padding that are encoded with the picture and left out in the end: the worst error is next to the
constants. A second token costs some 5 % of time, and takes the embedding's error from 6.6 % to 4.3 %."""
FILE = Path(__file__).with_name("mobile_sam_padding.npz")
EMBEDDING = "embedding"
"""Name of the finished embedding's profile; all others are called after the layer whose input they continue."""


def encoded_tokens(tokens: int) -> int:
    """Return how many tokens of a side are encoded where so many hold picture."""
    return min(GRID, tokens + RING)


@dataclass(frozen=True, slots=True, eq=False)
class EdgeProfiles:
    """Holds the padding's mean activations below and to the right of a picture of one size.

    below, right: by the name of a layer's input, (depth, C): one mean for each distance from the edge.
    surround: (n, 256), the finished embedding round the picture on the decoder's grid, row by row; None where the
    picture's shape is unusual, so that the means along its edges must do.
    """

    below: Mapping[str, Floats]
    right: Mapping[str, Floats]
    surround: Floats | None

    def under(self, name: str, down: int, columns: int) -> Floats:
        """Return (1, down, columns, C) to put under a map."""
        return np.repeat(self.below[name][None, :down, None], columns, 2)

    def beside(self, name: str, rows: int, corner: int, across: int) -> Floats:
        """Return (1, rows + corner, across, C) to put beside a map under which `corner` rows were put."""
        side = np.repeat(self.right[name][None, :across], rows, 0)
        if not corner:
            return side[None]
        both = (self.below[name][:corner, None] + self.right[name][None, :across]) / 2
        return np.concatenate([side, both])[None]


class PaddingProfiles:
    """Reads `FILE`: profiles for every number of rows and columns, in 8 bits with one scale for each channel."""

    def __init__(self, file: Path = FILE) -> None:
        try:
            with np.load(file, allow_pickle=False) as arrays:
                self._arrays = {name: arrays[name] for name in arrays.files}
        except (OSError, ValueError) as error:
            raise ModelError(f"{file} is missing or damaged; install gazecast again") from error

    @cached_property
    def weights(self) -> tuple[str, ...]:
        """Return the hashes of the weights for which the profiles hold, see `engines.cache.hash_files`."""
        return tuple(str(value) for value in self._arrays["weights"])

    def edges(self, rows: int, columns: int) -> EdgeProfiles:
        """Return the profiles for a picture of rows x columns tokens."""
        coefficients = self._arrays.get(f"surround.{rows}x{columns}")
        surround = None
        if coefficients is not None:
            surround = coefficients.astype(np.float32) @ self._arrays["surround.basis"] + self._arrays["surround.mean"]
        return EdgeProfiles(self._side("below", rows), self._side("right", columns), surround)

    def _side(self, side: str, tokens: int) -> dict[str, Floats]:
        prefix = f"{side}.{tokens}."
        return {
            (name := key.removeprefix(prefix)): value * self._arrays[f"scale.{name}"]
            for key, value in self._arrays.items()
            if key.startswith(prefix)
        }


@lru_cache(maxsize=1)
def padding_profiles() -> PaddingProfiles:
    """Return the profiles that come with the program."""
    return PaddingProfiles()


def surround_mask(rows: int, columns: int) -> NDArray[np.bool_]:
    """Return the decoder's grid of a picture of rows x columns tokens, true where there is padding."""
    mask = np.ones([len(block_edges(tokens)) - 1 for tokens in (rows, columns)], np.bool_)
    mask[:rows, :columns] = False
    return mask


def surround_embedding(edges: EdgeProfiles, rows: int, columns: int) -> tuple[Floats | None, Floats | None]:
    """Return what continues an embedding of rows x columns tokens on the decoder's grid.

    beside: (1, rows, C', 256) for the blocks at the right; under: (1, R', columns + C', 256); None where the side is
    whole.
    """
    down, across = (len(block_edges(tokens)) - 1 - tokens for tokens in (rows, columns))
    if edges.surround is not None:
        grid = np.zeros((rows + down, columns + across, edges.surround.shape[1]), np.float32)
        grid[surround_mask(rows, columns)] = edges.surround
        return (grid[None, :rows, columns:] if across else None), (grid[None, rows:] if down else None)
    beside = edges.beside(EMBEDDING, rows, 0, across) if across else None
    if not down:
        return beside, None
    under = edges.under(EMBEDDING, down, columns)
    if across:
        corner = edges.beside(EMBEDDING, 0, down, across)
        under = np.concatenate([under, corner], 2)
    return beside, under
