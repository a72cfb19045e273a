"""Segments an object in a recorded frame by clicks and a box, beginning with the mask that is to be corrected."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from engines import Decoder, Embedding, Encoder, Image, Mask, MaskCandidates
from realtime.tracking.correction_prompt import make_correction_prompt
from realtime.types import Click, FrameKey

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
            self._embeddings.popitem(last=False)
        return embedding

    def segment(
        self,
        key: FrameKey,
        image: Image,
        points: Sequence[Click],
        box: tuple[float, float, float, float] | None = None,
        before: Mask | None = None,
    ) -> SegmentedObject:
        """Segment an object; raises `EngineError`. before: the mask to correct, (H, W) bool."""
        embedding = self.encode(key, image)
        prompt = make_correction_prompt(points, box, before)
        candidates = self.open()[1].decode(embedding, [prompt])[0]
        is_unambiguous = len(prompt.points_px) > 1 or box is not None
        return _upsample_candidates(candidates, 0 if is_unambiguous else candidates.best_index)

    def close(self) -> None:
        """Close the engine."""
        if self._engine is not None:
            for part in self._engine:
                part.close()


def _upsample_candidates(candidates: MaskCandidates, chosen: int) -> SegmentedObject:
    letterbox = candidates.letterbox
    masks = tuple(np.asarray(letterbox.logits_to_picture(logits) > 0) for logits in candidates.logits)
    return SegmentedObject(
        masks, tuple(np.clip(candidates.predicted_iou, 0, 1).tolist()), tuple(candidates.stability.tolist()), chosen
    )
