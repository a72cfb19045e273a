"""Which graphs an engine is made of, as values: their names, shapes and the key under which they are cached.

Imports no heavy library, so that a cached engine opens without torch.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from engines.base import PromptError
from engines.letterbox import Letterbox

GRAPH_VERSION = 5
"""Raised whenever an exported graph changes, so that no cache serves an old one."""
TOKEN_PX = 16
GRID = 64
"""Tokens along each side of the model's input."""
BATCHES = (1, 4, 8)
POINT_BUCKETS = (2, 4, 8, 16, 32, 64)
ABSENT = -1e9
"""Added to the attention scores of a token that only fills its batch's shape."""


def bucket(count: int, buckets: tuple[int, ...], what: str) -> int:
    """The smallest bucket that holds `count`; raises `PromptError` when none does."""
    for size in buckets:
        if count <= size:
            return size
    raise PromptError(f"a prompt of {count} {what}; at most {buckets[-1]} are possible")


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
    def name(self) -> str:
        """For files and messages."""
        return f"encoder-{self.height}x{self.width}"


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
