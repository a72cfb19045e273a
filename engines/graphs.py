"""Describes the graphs of an engine by their shapes and names.

Imports no heavy library.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from engines.base import PromptError
from engines.letterbox import MODEL_SIDE, TOKEN_PX, Letterbox

GRAPH_VERSION = 8
"""Raised whenever a graph changes, so that no cache serves an old one."""
TYPED_VERSION = "1"
"""Raised whenever `engines.number_formats` or `engines.letterbox_graph` make another file of the same graph."""
GRID = MODEL_SIDE // TOKEN_PX
"""Tokens along each side of the model's input."""
SURROUND = 8
"""Tokens along each side of a block of padding that the decoder sees as one."""
BATCHES = (1, 4, 8)
SHARED_BATCHES = (1, 2, 4, 8)
"""Pictures that are encoded at once, and prompts on embeddings of their own that are decoded at once."""
POINT_BUCKETS = (2, 4, 8, 16, 32, 64)


class DecoderUse(NamedTuple):
    """What a decoder graph is for: prompts at once, points of each, and whether each has an earlier mask."""

    batch: int
    points: int
    masks_in: bool = False


CLICK = (DecoderUse(1, 2),)
"""The decoder graph of one click."""
LIVE = (*CLICK, DecoderUse(4, 2), DecoderUse(1, 4))
"""Decoder graphs of a run: a click, a vote of clicks, and an object by a point and its box. Compiling a graph takes up
to a second, so the tracker must not be the one to wait for it."""
CORRECTION = (DecoderUse(1, 4, masks_in=True), DecoderUse(1, 8), DecoderUse(1, 8, masks_in=True))
"""Decoder graphs of corrections: a click more on the shown mask, all clicks on later keyframes, a third click."""
BUILT = (*LIVE, DecoderUse(8, 2))
"""Decoder graphs that are built ahead where building takes longer."""
ABSENT = -1e9
"""Added to the attention scores of a token that only fills its batch's shape."""


def bucket(count: int, buckets: tuple[int, ...], what: str) -> int:
    """Return the smallest bucket that holds `count`; raises `PromptError` when none does."""
    for size in buckets:
        if count <= size:
            return size
    raise PromptError(f"a prompt of {count} {what}; at most {buckets[-1]} are possible")


def block_edges(tokens: int) -> tuple[int, ...]:
    """Return the edges of the decoder's rows or columns for a picture in the first `tokens` of `GRID`.

    Each token of the picture is separate, and the padding is in blocks: it is nearly uniform, so that the decoder can
    attend to the mean of a block, with the weight of as many tokens. For a picture of half the square that is a quarter
    of the tokens, and masks differ less than by bfloat16 (IoU of the nearest of four 0.99 on six clips).
    """
    return (*range(tokens), *range(tokens, GRID, SURROUND), GRID)


def grid(rows: int, columns: int) -> tuple[int, int]:
    """Return the (rows, columns) of the decoder's grid for the picture's rows and columns of tokens."""
    return len(block_edges(rows)) - 1, len(block_edges(columns)) - 1


@dataclass(frozen=True, slots=True)
class EncoderGraph:
    """A graph that maps (height, width, 3) uint8 BGR content in model pixels to the decoder's prepared tensors.

    batch: number of pictures; from two on, all its tensors have them as their first dimension.
    """

    height: int
    width: int
    batch: int = 1

    @classmethod
    def of(cls, letterbox: Letterbox) -> EncoderGraph:
        """Return the graph for the pictures of a letterbox."""
        width, height = letterbox.content_size
        return cls(height, width)

    @property
    def tokens(self) -> tuple[int, int]:
        """Return the (rows, columns) of tokens that contain the picture."""
        return -(-self.height // TOKEN_PX), -(-self.width // TOKEN_PX)

    @property
    def grid(self) -> tuple[int, int]:
        """Return the decoder's (rows, columns): the tokens of the picture and the blocks of padding."""
        return grid(*self.tokens)

    @property
    def name(self) -> str:
        """Return the name, for files and messages."""
        several = f"-b{self.batch}" if self.batch > 1 else ""
        return f"encoder-{self.height}x{self.width}{several}"


@dataclass(frozen=True, slots=True)
class LetterboxGraph:
    """A graph that resizes a (height, width, 3) uint8 frame to its content in model pixels, on the engine's device."""

    height: int
    width: int
    content_height: int
    content_width: int

    @property
    def name(self) -> str:
        """Return the name, for files and messages."""
        return f"letterbox-{self.height}x{self.width}-{self.content_height}x{self.content_width}"


@dataclass(frozen=True, slots=True)
class DecoderGraph:
    """A graph that decodes `batch` prompts of `points` tokens to masks, for content of rows x columns tokens.

    own_images: whether each prompt has an embedding of its own, as the first dimension of the prepared tensors.
    """

    rows: int
    columns: int
    batch: int
    points: int
    masks_in: bool
    own_images: bool = False

    @classmethod
    def of(
        cls, letterbox: Letterbox, batch: int, points: int, masks_in: bool, *, own_images: bool = False
    ) -> DecoderGraph:
        """Return the graph for the pictures of a letterbox."""
        return cls(*EncoderGraph.of(letterbox).tokens, batch, points, masks_in, own_images)

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
        """Return the name, for files and messages."""
        kind = ("-masks" if self.masks_in else "") + ("-own" if self.own_images else "")
        return f"decoder{kind}-{self.rows}x{self.columns}-b{self.batch}-n{self.points}"


Graph = EncoderGraph | DecoderGraph
