"""Segments an object in a recorded frame by clicks and a box, beginning with the mask that is to be corrected."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from engines import Decoder, Embedding, Encoder, Floats, Image, Mask, MaskCandidates
from realtime.tracking.correction_prompt import Box, find_interior_point, make_correction_prompt
from realtime.types import Click, FrameKey

SIMILAR_IOU = 0.5
"""A candidate with this IoU stands for a mask that came from elsewhere."""
MAX_EMBEDDINGS = 16
"""Frames whose embeddings are kept, some 4 MB each."""


@dataclass(frozen=True, slots=True, eq=False)
class SegmentedObject:
    """Holds the masks that the decoder offers for a prompt, (H, W) bool. chosen: the index of the one to take."""

    masks: tuple[Mask, ...] = field(repr=False)
    ious: tuple[float, ...]
    stabilities: tuple[float, ...]
    chosen: int


class FrameSegmenter:
    """Opens an engine when it is first needed, and keeps the embeddings of the last frames. One thread."""

    def __init__(self, open_engine: Callable[[], tuple[Encoder, Decoder]]) -> None:
        """open_engine: raises `EngineError` where it cannot."""
        self._open_engine = open_engine
        self._engine: tuple[Encoder, Decoder] | None = None
        self._embeddings: OrderedDict[FrameKey, Embedding] = OrderedDict()
        self._priors: dict[FrameKey, _PriorMask] = {}  # of the last click in a frame

    @property
    def is_open(self) -> bool:
        """Whether the engine is open."""
        return self._engine is not None

    def open(self) -> tuple[Encoder, Decoder]:
        """Open the engine, unless it is open; raises `EngineError`."""
        if self._engine is None:
            self._engine = self._open_engine()
        return self._engine

    @property
    def name(self) -> str:
        """Backend and model; empty before the engine is open."""
        return f"{self._engine[1].info.backend} {self._engine[1].info.model}" if self._engine else ""

    def has_embedding(self, key: FrameKey) -> bool:
        """Return whether a frame was encoded."""
        return key in self._embeddings

    def encode(self, key: FrameKey, image: Image) -> Embedding:
        """Encode a frame, unless it was encoded before; raises `EngineError`."""
        encoder, _ = self.open()
        embedding = self._embeddings.pop(key, None) or encoder.encode(image)
        self._embeddings[key] = embedding
        while len(self._embeddings) > MAX_EMBEDDINGS:
            gone, _ = self._embeddings.popitem(last=False)
            self._priors.pop(gone, None)
        return embedding

    def segment(
        self,
        key: FrameKey,
        image: Image,
        points: Sequence[Click],
        box: Box | None = None,
        before: Mask | None = None,
        support: tuple[float, float] | None = None,
    ) -> SegmentedObject:
        """Segment an object; raises `EngineError`.

        before: the mask to correct by the last of `points`, (H, W) bool. support: the gaze point that selected it, px;
        None: its middle.
        """
        embedding, decoder = self.encode(key, image), self.open()[1]
        prior = self._priors.get(key)
        if prior is None or (prior.points, prior.box) != (tuple(points[:-1]), box) or not points:
            prior = _begin_prior(decoder, embedding, points[:-1], box, before, support)
        prompt = make_correction_prompt(points, box, prior.support, prior.logits)
        candidates = decoder.decode(embedding, [prompt])[0]
        chosen = candidates.best_index if len(prompt.points_px) == 1 and box is None else 0
        self._priors[key] = _PriorMask(tuple(points), box, prior.support, candidates.logits[chosen])
        return _upsample_candidates(candidates, chosen)

    def close(self) -> None:
        """Close the engine."""
        if self._engine is not None:
            for part in self._engine:
                part.close()


@dataclass(frozen=True, slots=True, eq=False)
class _PriorMask:
    """Holds the decoder's mask that the next click corrects, and the prompt that made it."""

    points: tuple[Click, ...]
    box: Box | None
    support: tuple[float, float] | None
    logits: Floats | None = field(repr=False)


def _begin_prior(
    decoder: Decoder,
    embedding: Embedding,
    points: Sequence[Click],
    box: Box | None,
    before: Mask | None,
    support: tuple[float, float] | None,
) -> _PriorMask:
    """Find the decoder's mask that is most similar to a mask which came from elsewhere, such as a recording.

    A mask that no candidate is similar to has no logits: another mask's would tear the next one apart.
    """
    if before is None or not before.any() or box is not None:
        return _PriorMask((), box, None, None)
    background = [(x, y) for x, y, label in points if not label]
    support = support if support is not None else find_interior_point(before, background)
    candidates = decoder.decode(embedding, [make_correction_prompt(points, None, support)])[0]
    ious = [_compute_iou(mask, before) for mask in _upsample_candidates(candidates, 0).masks]
    best = int(np.argmax(ious))
    return _PriorMask((), None, support, candidates.logits[best] if ious[best] >= SIMILAR_IOU else None)


def _compute_iou(a: Mask, b: Mask) -> float:
    return int(np.count_nonzero(a & b)) / max(1, int(np.count_nonzero(a | b)))


def _upsample_candidates(candidates: MaskCandidates, chosen: int) -> SegmentedObject:
    letterbox = candidates.letterbox
    masks = tuple(np.asarray(letterbox.logits_to_picture(logits) > 0) for logits in candidates.logits)
    return SegmentedObject(
        masks, tuple(np.clip(candidates.predicted_iou, 0, 1).tolist()), tuple(candidates.stability.tolist()), chosen
    )
