"""Recognizes objects in every Nth keyframe of a stepped replay, as a live run does."""

from __future__ import annotations

import argparse

from engines import Image, weights
from engines.recognition.base import Recognition, WordQuery


class SteppedRecognizer:
    """Recognizes the objects of every `every`th keyframe; of none where `every` is 0."""

    def __init__(self, every: int) -> None:
        self._every, self._count = every, 0
        if every:
            from engines.recognition.detector import ObjectDetector

            self._detector = ObjectDetector(weights.model_folder("nanodet"), precision="f32")

    def recognize(self, image: Image) -> Recognition | None:
        """Recognize the objects of the next keyframe; None where it is not searched."""
        self._count += 1
        return self._detector.recognize(image) if self._every and self._count % self._every == 0 else None

    def encode_word(self, text: str) -> WordQuery:
        """Encode a word as the recognizer does."""
        if not self._every:
            raise SystemExit("a word needs recognized keyframes: --recognize-every 1")
        return self._detector.encode_word(text)


def add_recognition_flag(parser: argparse.ArgumentParser) -> None:
    """Add the flag that chooses how many keyframes are searched."""
    parser.add_argument(
        "--recognize-every", type=int, default=0, metavar="N", help="search every Nth keyframe for objects; 0: none"
    )
