"""Defines what recognizes the objects of a picture, and what it finds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

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


class ObjectRecognizer(Protocol):
    """A protocol that finds and names the objects of a picture; used by one thread at a time."""

    @property
    def model(self) -> str:
        """The name of its weights in the list of models."""

    def recognize(self, image: Image) -> tuple[RecognizedObject, ...]:
        """Find the objects of a (H, W, 3) BGR picture of any size, the surest first; raises `PromptError`."""

    def close(self) -> None:
        """Free memory and graphs; may be called twice."""
