"""Defines what recognizes the objects of a picture, what it finds, and how words are searched for in that."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from engines.base import Floats, Image

Box = tuple[float, float, float, float]
"""x0, y0, x1, y1, picture px."""


@dataclass(frozen=True, slots=True, eq=False)
class RecognizedObject:
    """Holds an object of a picture.

    names: of the scores, the recognizer's own. scores: (names,) float32, 0..1.
    """

    box_px: Box
    names: tuple[str, ...]
    scores: Floats

    @property
    def name(self) -> str:
        """The name with the highest score."""
        return self.names[int(np.argmax(self.scores))]

    @property
    def score(self) -> float:
        """The score of that name, 0..1."""
        return float(self.scores.max())


@dataclass(frozen=True, slots=True, eq=False)
class WordQuery:
    """Holds a word as one recognizer encoded it.

    code: (n,) float32; the recognizer's own weights of names, or its embedding of the text.
    is_known: whether the recognizer can find it; scores of an unknown word are 0.
    """

    text: str
    code: Floats
    is_known: bool = True


@dataclass(frozen=True, slots=True)
class WordRegion:
    """Holds a region of a picture that a word fits. score: 0..1."""

    box_px: Box
    score: float


class Recognition(Protocol):
    """A protocol of what was recognized in one picture; immutable, from any thread."""

    @property
    def names(self) -> tuple[str, ...]:
        """The names that objects may have."""

    @property
    def objects(self) -> tuple[RecognizedObject, ...]:
        """The objects with a box of their own, the surest first; none from a recognizer without boxes."""

    def score_names(self, masks: NDArray[np.bool_]) -> Floats:
        """Score every name for (K, h, w) masks over the whole picture, on any grid: (K, names) float32, 0..1."""

    def score_word(
        self, masks: NDArray[np.bool_], query: WordQuery, regions: tuple[WordRegion, ...] | None = None
    ) -> Floats:
        """Score how well a word fits (K, h, w) masks over the whole picture, on any grid: (K,) float32, 0..1.

        regions: of the word, in place of those of this picture alone; a recognizer without boxes needs none.
        """

    def find_word(self, query: WordQuery) -> tuple[WordRegion, ...]:
        """Find the regions that a word fits, the surest first."""

    def move(self, displacement: Floats) -> Recognition:
        """Move everything to a newer picture of the same size.

        displacement: (h, w, 2) from the newer picture back to this one, in pixels of its own grid.
        """


class ObjectRecognizer(Protocol):
    """A protocol that recognizes the objects of a picture; used by one thread at a time."""

    @property
    def model(self) -> str:
        """The name of its weights in the list of models."""

    def recognize(self, image: Image) -> Recognition:
        """Recognize what is in a (H, W, 3) BGR picture of any size; raises `PromptError`."""

    def encode_word(self, text: str) -> WordQuery:
        """Encode a word to search for; from any thread."""

    def close(self) -> None:
        """Free memory and graphs; may be called twice."""
