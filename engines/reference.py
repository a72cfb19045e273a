"""Compares engines with the reference: the same weights in float32 on the full 1024 x 1024 input, padding and all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from engines.base import Decoder, Encoder, EngineUnavailable, Image, Mask, MaskCandidates, Prompt
from engines.graph_store import GraphStore
from engines.sam import EngineRuntime, SamDecoder, SamEncoder, open_sam
from engines.settings import EngineSettings, Report

GRID_COLUMNS, GRID_ROWS = 5, 3
SCORE_FLOOR = 0.85
AREA = (0.001, 0.35)
"""Of the picture. Points whose reference mask is uncertain, tiny or the whole scene are not compared."""


def open_reference(weights: Path, settings: EngineSettings, side: int, report: Report) -> tuple[SamEncoder, SamDecoder]:
    """Open the reference for pictures of a longest `side`, in the first runtime for the CPU that is installed.

    settings: of the engine to be compared. Raises `EngineUnavailable` without any runtime.
    """
    store = GraphStore(weights, settings.model, Path(), report, whole_square=True, adapter=settings.adapter)
    plain = EngineSettings(settings.backend, settings.model, "f32", picture_side=side)
    return open_sam(
        plain, store, _open_runtime(store, plain), precision="f32", device="CPU", versions={}, frame_size=None
    )


def _open_runtime(store: GraphStore, settings: EngineSettings) -> EngineRuntime:
    def openvino() -> EngineRuntime:
        from engines.backends.openvino import OpenVinoRuntime

        return OpenVinoRuntime(store, settings)

    def onnxruntime() -> EngineRuntime:
        from engines.backends.onnxruntime import OnnxRuntime

        return OnnxRuntime(store, settings)

    def torch() -> EngineRuntime:
        from engines.backends.torch import TorchRuntime

        return TorchRuntime(store, settings, "f32")

    runtimes: tuple[Callable[[], EngineRuntime], ...] = (openvino, onnxruntime, torch)
    for open_runtime in runtimes:
        try:
            return open_runtime()
        except EngineUnavailable:
            continue
    raise EngineUnavailable("comparing engines needs OpenVINO, ONNX Runtime or torch; pip install openvino")


@dataclass(frozen=True, slots=True)
class EngineComparison:
    """Holds the differences between an engine and the reference on real pictures.

    best, chosen: mean IoU with the mask that the reference chooses, of the engine's closest mask and of its own
    choice. score_error: mean absolute difference of the predicted IoUs. embedding_error: relative, over the tokens
    that contain the picture; nan for an opaque engine. points: number that the means are over.
    """

    best: float
    chosen: float
    score_error: float
    embedding_error: float
    points: int


def compare_engines(
    reference: tuple[Encoder, Decoder], encoder: Encoder, decoder: Decoder, pictures: Sequence[Image]
) -> EngineComparison:
    """Compare an engine with the reference on a grid of clicks on every picture."""
    best, chosen, scores, embeddings = [], [], [], []
    for image in pictures:
        embedding, truth = encoder.encode(image), reference[0].encode(image)
        if isinstance(encoder, SamEncoder) and isinstance(reference[0], SamEncoder):
            theirs = reference[0].embedding(truth)
            embeddings.append(float(np.linalg.norm(encoder.embedding(embedding) - theirs) / np.linalg.norm(theirs)))
        prompts = [Prompt.click(*point) for point in probe_points(image.shape[1], image.shape[0])]
        found = zip(reference[1].decode(truth, prompts), decoder.decode(embedding, prompts), strict=True)
        for wanted, candidates in found:
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
