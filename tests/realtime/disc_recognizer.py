"""Recognizes the discs of drawn scenes by their colour, with the real `DetectedObjects`."""

from __future__ import annotations

import cv2
import numpy as np

from engines import Image
from engines.recognition.base import RecognizedObject, WordQuery
from engines.recognition.detected_objects import DetectedObjects
from engines.recognition.name_words import encode_name

NAMES = ("ball", "book", "cup")
CHANNELS = {"ball": 2, "cup": 0}
"""A ball is red, a cup blue; there are no books."""


class DiscRecognizer:
    """An `ObjectRecognizer` of red and blue discs. searched, words: counts of its calls."""

    model = "discs"

    def __init__(self) -> None:
        self.searched, self.words, self.closed = 0, 0, 0

    def recognize(self, image: Image) -> DetectedObjects:
        self.searched += 1
        found = []
        for name, channel in CHANNELS.items():
            others = np.max(np.delete(image, channel, 2), 2).astype(int)
            mask = (image[..., channel].astype(int) - others > 60).astype(np.uint8)
            count, _, stats, _ = cv2.connectedComponentsWithStats(mask)
            for x, y, width, height, area in stats[1:count].tolist():
                if area > 100:
                    scores = np.array([0.8 if each == name else 0.01 for each in NAMES], np.float32)
                    found.append(RecognizedObject((x, y, x + width - 1.0, y + height - 1.0), NAMES, scores))
        return DetectedObjects(NAMES, tuple(found), (image.shape[1], image.shape[0]))

    def encode_word(self, text: str) -> WordQuery:
        self.words += 1
        return encode_name(text, NAMES)

    def close(self) -> None:
        self.closed += 1
