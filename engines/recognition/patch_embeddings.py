"""Holds CLIP's embedding of each patch of a picture, and compares words with them. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.base import Floats
from engines.recognition.base import RecognizedObject, WordQuery, WordRegion
from engines.recognition.boxes import measure_box

MAX_LIKENESS_SIGMA, MAX_LIKENESS = 3.0, 0.97
"""A name that is more like a word than that, by the spread of all names or as a cosine, means the same.

Of OpenAI's embeddings of LVIS's 1203 names, the 70 that mean one of COCO's are 3.4 to 5.7 spreads from the mean of
COCO's, and 0.04 others are above 3; at 2 it would be 0.83, and a dog would not compete with a cat.
"""
MIN_WORD_SCORE = 0.2
"""A patch with a lower score of a word belongs to no region of that word."""
UPSAMPLING = 8
"""Cells of a region's map for each patch, along a side."""
MAX_REGIONS = 8
_TINY = 1e-12


def normalize(vectors: Floats) -> Floats:
    """Scale vectors along the last dimension to length 1; those of zeros stay."""
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), _TINY), np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class NameVocabulary:
    """Holds the words that a patch is compared with.

    codes: (names and background words, n) embeddings of length 1. scale: of cosines, in CLIP's softmax.
    """

    names: tuple[str, ...]
    codes: Floats
    scale: float

    def score_names(self, embeddings: Floats) -> Floats:
        """Return the probability of each name, for (K, n) embeddings of length 1; the background takes the rest."""
        return self._compare(embeddings, self.codes)[:, : len(self.names)]

    def score_word(self, embeddings: Floats, code: Floats) -> Floats:
        """Return the probability of a word among all that do not mean nearly the same: (K,) of (K, n)."""
        likeness = self.codes @ code
        limit = min(likeness.mean() + MAX_LIKENESS_SIGMA * likeness.std(), MAX_LIKENESS)
        return self._compare(embeddings, np.concatenate([code[None], self.codes[np.asarray(likeness <= limit)]]))[:, 0]

    def _compare(self, embeddings: Floats, codes: Floats) -> Floats:
        logits = self.scale * embeddings @ codes.T
        odds = np.exp(logits - logits.max(1, keepdims=True))
        # An embedding of zeros is one of nothing, of an empty mask or of what was outside the picture.
        return np.asarray(odds / odds.sum(1, keepdims=True) * embeddings.any(1, keepdims=True), np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class PatchEmbeddings:
    """A `Recognition` of an embedding for each patch of a picture, without boxes: patches are too coarse for these.

    patches: (rows, columns, n) float32 of length 1, or zeros where unknown. size: (width, height) of the picture, px.
    """

    patches: Floats
    vocabulary: NameVocabulary
    size: tuple[int, int]

    @property
    def names(self) -> tuple[str, ...]:
        """See `Recognition.names`."""
        return self.vocabulary.names

    @property
    def objects(self) -> tuple[RecognizedObject, ...]:
        """None."""
        return ()

    def score_names(self, masks: NDArray[np.bool_]) -> Floats:
        """See `Recognition.score_names`."""
        return self.vocabulary.score_names(self._pool(masks))

    def score_word(
        self, masks: NDArray[np.bool_], query: WordQuery, regions: tuple[WordRegion, ...] | None = None
    ) -> Floats:
        """See `Recognition.score_word`."""
        return self.vocabulary.score_word(self._pool(masks), query.code)

    def find_word(self, query: WordQuery) -> tuple[WordRegion, ...]:
        """See `Recognition.find_word`: where the score is at least half of the best patch's, each region's pooled."""
        rows, columns, width = self.patches.shape
        scores = self.vocabulary.score_word(self.patches.reshape(-1, width), query.code).reshape(rows, columns)
        if scores.max() < MIN_WORD_SCORE:
            return ()
        fine = cv2.resize(scores, (columns * UPSAMPLING, rows * UPSAMPLING), interpolation=cv2.INTER_LINEAR)
        inside = fine >= max(MIN_WORD_SCORE, float(fine.max()) / 2)
        count, regions = cv2.connectedComponents(inside.astype(np.uint8))
        masks = regions[None] == np.arange(1, count)[:, None, None]
        pooled = self.score_word(masks, query).tolist()
        boxes = (measure_box(mask, self.size) for mask in masks)
        found = [WordRegion(box, score) for box, score in zip(boxes, pooled, strict=True) if box is not None]
        return tuple(sorted(found, key=lambda region: -region.score)[:MAX_REGIONS])

    def move(self, displacement: Floats) -> PatchEmbeddings:
        """See `Recognition.move`: each patch becomes what was there, bilinear, and unknown where that was outside."""
        rows, columns, width = self.patches.shape
        scale = np.array([columns / displacement.shape[1], rows / displacement.shape[0]], np.float32)
        moved = cv2.resize(displacement, (columns, rows), interpolation=cv2.INTER_AREA).reshape(-1, 2) * scale
        y, x = (axis.reshape(-1, 1) for axis in np.mgrid[:rows, :columns].astype(np.float32))
        down = np.maximum(0, 1 - np.abs(y + moved[:, 1:] - np.arange(rows)))
        across = np.maximum(0, 1 - np.abs(x + moved[:, :1] - np.arange(columns)))
        shares = (down[:, :, None] * across[:, None, :]).reshape(rows * columns, -1)
        found = normalize(shares @ self.patches.reshape(-1, width))
        return replace(self, patches=found.reshape(self.patches.shape))

    def _pool(self, masks: NDArray[np.bool_]) -> Floats:
        """Average the embeddings under (K, h, w) masks by the share of each patch that is covered, to length 1."""
        rows, columns, width = self.patches.shape
        sums = np.add.reduceat(masks, _block_starts(masks.shape[2], columns), axis=2, dtype=np.float32)
        shares = np.add.reduceat(sums, _block_starts(masks.shape[1], rows), axis=1).reshape(-1, rows * columns)
        return normalize(shares @ self.patches.reshape(-1, width))


def _block_starts(cells: int, blocks: int) -> NDArray[np.intp]:
    """Return where each block of a row of cells begins; of fewer cells than blocks, some are taken twice."""
    return np.arange(blocks) * cells // blocks
