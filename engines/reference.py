"""Compares engines with the reference: the plain torch modules in float32 on the full 1024 x 1024 input.

Needs torch; nothing that serves frames imports this.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from engines.base import Decoder, Embedding, Encoder, Floats, Image, Mask, MaskCandidates, Prompt
from engines.letterbox import Letterbox
from engines.models.checkpoint import SamModel
from engines.models.graphs import normalised
from engines.prompts import model_points
from engines.sam import SamEncoder

GRID_COLUMNS, GRID_ROWS = 5, 3
SCORE_FLOOR = 0.85
AREA = (0.001, 0.35)
"""Of the picture. Points whose reference mask is uncertain, tiny or the whole scene are not compared."""


class ReferenceEngine:
    """Runs MobileSAM or SAM as its authors do."""

    def __init__(self, sam: SamModel) -> None:
        self._sam = sam
        self._place = sam.prompt_encoder.pe_layer.grid()

    @torch.inference_mode()
    def encode(self, image: Image, letterbox: Letterbox) -> Floats:
        """Encode (H, W, 3) uint8 BGR to the embedding, (64, 64, 256) float32."""
        content = letterbox.resize(image)
        return np.asarray(self._sam.image_encoder(normalised(torch.from_numpy(content)))[0].numpy(), np.float32)

    @torch.inference_mode()
    def decode(self, embedding: Floats, letterbox: Letterbox, prompt: Prompt) -> MaskCandidates:
        """Decode one prompt to four masks."""
        encoder, decoder = self._sam.prompt_encoder, self._sam.mask_decoder
        points, labels = (torch.from_numpy(part)[None] for part in model_points(letterbox, prompt))
        keys = torch.from_numpy(embedding).reshape(1, -1, embedding.shape[-1])
        if prompt.mask_logits is None:
            keys = keys + encoder.no_mask_embed.weight
        else:
            keys = keys + encoder.masks(torch.from_numpy(prompt.mask_logits)[None, None])
        logits, scores = decoder(keys, self._place, encoder.points(points, labels.long()))
        return MaskCandidates(logits[0].numpy(), scores[0].numpy(), letterbox)


@dataclass(frozen=True, slots=True)
class EngineComparison:
    """Holds the differences between an engine and the reference on real pictures.

    best, chosen: mean IoU with the mask that the reference chooses, of the engine's closest mask and of its own
    choice. score_error: mean absolute difference of the predicted IoUs. embedding_error: relative, over the tokens
    that contain the picture. points: number that the means are over.
    """

    best: float
    chosen: float
    score_error: float
    embedding_error: float
    points: int


def compare_engines(
    reference: ReferenceEngine, encoder: Encoder, decoder: Decoder, pictures: Sequence[Image]
) -> EngineComparison:
    """Compare an engine with the reference on a grid of clicks on every picture."""
    best, chosen, scores, embeddings = [], [], [], []
    for image in pictures:
        embedding = encoder.encode(image)
        truth = reference.encode(image, embedding.letterbox)
        embeddings.append(_embedding_error(truth, encoder, embedding))
        prompts = [Prompt.click(*point) for point in probe_points(image.shape[1], image.shape[0])]
        for prompt, candidates in zip(prompts, decoder.decode(embedding, prompts), strict=True):
            wanted = reference.decode(truth, embedding.letterbox, prompt)
            mask = binarize(wanted)[wanted.best_index]
            if wanted.predicted_iou[wanted.best_index] < SCORE_FLOOR or not AREA[0] <= mask.mean() <= AREA[1]:
                continue
            ious = [iou(mask, offered) for offered in binarize(candidates)]
            best.append(max(ious))
            chosen.append(ious[candidates.best_index])
            if len(candidates.predicted_iou) == len(wanted.predicted_iou):
                scores.append(float(np.abs(candidates.predicted_iou - wanted.predicted_iou).mean()))
    return EngineComparison(
        mean_or_nan(best), mean_or_nan(chosen), mean_or_nan(scores), mean_or_nan(embeddings), len(best)
    )


def mean_or_nan(values: Sequence[float]) -> float:
    """Return the mean; nan without values, which passes no threshold."""
    return float(np.mean(values)) if values else float("nan")


def probe_points(width: int, height: int) -> list[tuple[float, float]]:
    """Return fifteen points spread over a picture, in picture pixels."""
    return [
        ((column + 0.5) * width / GRID_COLUMNS - 0.5, (row + 0.5) * height / GRID_ROWS - 0.5)
        for row in range(GRID_ROWS)
        for column in range(GRID_COLUMNS)
    ]


def binarize(candidates: MaskCandidates) -> Mask:
    """Return the (K, h, w) masks at the logits' resolution, without the padding."""
    width, height = (-(-side // 4) for side in candidates.letterbox.content_size)
    return np.asarray(candidates.logits[:, :height, :width] > 0)


def iou(a: Mask, b: Mask) -> float:
    """Compute the intersection over union; 1 for two empty masks."""
    union = int((a | b).sum())
    return int((a & b).sum()) / union if union else 1.0


def _embedding_error(truth: Floats, encoder: Encoder, found: Embedding) -> float:
    """Compute the relative error of the embedding over the picture's tokens; nan for an opaque engine."""
    if not isinstance(encoder, SamEncoder):
        return float("nan")
    ours = encoder.embedding(found)
    theirs = truth[: ours.shape[0], : ours.shape[1]]
    return float(np.linalg.norm(ours - theirs) / np.linalg.norm(theirs))
