"""Which graphs an engine is made of, as values: their names, shapes and the key under which they are cached.

Imports no heavy library, so that a cached engine opens without torch.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from engines.base import PromptError
from engines.letterbox import Letterbox

GRAPH_VERSION = 7
"""Raised whenever an exported graph changes, so that no cache serves an old one."""
TYPED_VERSION = "1"
"""Raised whenever `engines.number_formats` or `engines.letterbox_graph` make another file of the same graph."""
TOKEN_PX = 16
GRID = 64
"""Tokens along each side of the model's input."""
SURROUND = 8
"""Tokens along each side of a block of padding that the decoder sees as one."""
BATCHES = (1, 4, 8)
POINT_BUCKETS = (2, 4, 8, 16, 32, 64)
LIVE = ((1, 2), (4, 2), (1, 4))
"""What a run asks of a decoder, (prompts at once, points of each): a click, a vote of clicks, a thing by a point and
its box. To make a graph takes a second, which must not be the one in which somebody looks at something."""
BUILT = (*LIVE, (8, 2))
"""What is built ahead where building takes longer."""
ABSENT = -1e9
"""Added to the attention scores of a token that only fills its batch's shape."""


def bucket(count: int, buckets: tuple[int, ...], what: str) -> int:
    """The smallest bucket that holds `count`; raises `PromptError` when none does."""
    for size in buckets:
        if count <= size:
            return size
    raise PromptError(f"a prompt of {count} {what}; at most {buckets[-1]} are possible")


def block_edges(tokens: int) -> tuple[int, ...]:
    """Where the decoder's rows or columns begin and end, along a side with picture in its first `tokens` of `GRID`.

    Every token of picture by itself, the padding in blocks: it is alike everywhere, so that the decoder may look at
    the mean of a block, with the weight of as many tokens. For a picture of half the square that is a quarter of the
    tokens, and masks differ less than by bfloat16 (IoU of the nearest of four 0.99 on six clips).
    """
    return (*range(tokens), *range(tokens, GRID, SURROUND), GRID)


def grid(rows: int, columns: int) -> tuple[int, int]:
    """(rows, columns) of the decoder's grid for so many of picture."""
    return len(block_edges(rows)) - 1, len(block_edges(columns)) - 1


@dataclass(frozen=True, slots=True)
class EncoderGraph:
    """(height, width, 3) uint8 BGR to the decoder's prepared tensors, for content of one size in model pixels."""

    height: int
    width: int

    @classmethod
    def of(cls, letterbox: Letterbox) -> EncoderGraph:
        """The graph for a picture of that size."""
        width, height = letterbox.content_size
        return cls(height, width)

    @property
    def tokens(self) -> tuple[int, int]:
        """(rows, columns) of tokens that hold picture."""
        return -(-self.height // TOKEN_PX), -(-self.width // TOKEN_PX)

    @property
    def grid(self) -> tuple[int, int]:
        """(rows, columns) that the decoder is given: the tokens with picture and the blocks of padding."""
        return grid(*self.tokens)

    @property
    def name(self) -> str:
        """For files and messages."""
        return f"encoder-{self.height}x{self.width}"


@dataclass(frozen=True, slots=True)
class LetterboxGraph:
    """A (height, width, 3) uint8 frame to its content in model pixels, for engines that resize on their own device."""

    height: int
    width: int
    content_height: int
    content_width: int

    @property
    def name(self) -> str:
        """For files and messages."""
        return f"letterbox-{self.height}x{self.width}-{self.content_height}x{self.content_width}"


@dataclass(frozen=True, slots=True)
class DecoderGraph:
    """Prepared tensors and `batch` prompts of `points` tokens to masks, for content of rows x columns tokens."""

    rows: int
    columns: int
    batch: int
    points: int
    masks_in: bool

    @classmethod
    def of(cls, letterbox: Letterbox, batch: int, points: int, masks_in: bool) -> DecoderGraph:
        """The graph for a picture of that size."""
        return cls(*EncoderGraph.of(letterbox).tokens, batch, points, masks_in)

    @property
    def grid(self) -> tuple[int, int]:
        """Return the (rows, columns) of the prepared tensors, see `EncoderGraph.grid`."""
        return grid(self.rows, self.columns)

    @property
    def image_inputs(self) -> int:
        """Return the number of the encoder's outputs that it takes: keys, and k, q, v unless prompts have masks."""
        return 1 if self.masks_in else 4

    @property
    def name(self) -> str:
        """For files and messages."""
        kind = "-masks" if self.masks_in else ""
        return f"decoder{kind}-{self.rows}x{self.columns}-b{self.batch}-n{self.points}"


Graph = EncoderGraph | DecoderGraph


def weights_hash(files: tuple[Path, ...]) -> str:
    """SHA-256 over the weight files, in order, 64 hexadecimal digits."""
    digest = hashlib.sha256()
    for file in files:
        with file.open("rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()
