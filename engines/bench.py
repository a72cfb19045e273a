"""Measures an engine's speed beside the published graphs in ONNX Runtime, for `gazecast engine bench`.

Timings are noisy, so the two alternate, and the result is the ratio of their medians.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from engines.base import EngineUnavailable, Image, Prompt
from engines.build import compare_with_reference, opened_engine
from engines.graphs import BATCHES
from engines.letterbox import MODEL_SIDE
from engines.pictures import resize_and_crop
from engines.settings import EngineSettings, Report
from engines.speed import time_alternating


def benchmark_engine(
    settings: EngineSettings,
    weights: Path,
    frame_size: tuple[int, int],
    pictures: Sequence[Image],
    *,
    rounds: int = 15,
    quality: bool = True,
    report: Report | None = None,
) -> dict[str, Any]:
    """Time an engine and, with `quality`, compare its masks with the reference's.

    The decoder's figures are milliseconds per prompt in batches of 1, 4 and 8. `prep_ms` is 0 where the preparation is
    part of the encoder's graph, as in all of ours. `threads` apply to both, so that ratios compare like with like.
    `decoder_8` is the ratio for one of eight prompts.
    Returns the last line of `gazecast engine bench --json`.
    """
    report = report or (lambda line: None)
    image = resize_and_crop(pictures[0], frame_size)
    with opened_engine(settings, weights, frame_size, report) as (encoder, decoder):
        info = encoder.info
        embedding = encoder.encode(image)
        runs = published_graph_runs(weights, settings.encoder_threads, settings.decoder_threads)
        runs["encoder"] = lambda: encoder.encode(image)
        for batch in BATCHES:
            runs[str(batch)] = partial(decoder.decode, embedding, center_clicks(frame_size, batch))
        report(f"timing {info.backend} {info.precision} and the published graphs, {rounds} rounds")
        medians = time_alternating(runs, rounds)
        ious = None
        if quality:
            result = compare_with_reference(weights, settings, (encoder, decoder), frame_size, pictures, report)
            ious = {"chosen": round(result.chosen, 4), "best": round(result.best, 4), "points": result.points}
    return {
        "engine": info.backend, "precision": info.precision, "picture_side": info.picture_side, "threads": info.threads,
        **summarize_medians(medians),
        "iou": ious,
    }  # fmt: skip


def summarize_medians(medians: dict[str, float]) -> dict[str, Any]:
    """Summarise the medians of `benchmark_engine` as milliseconds and ratios to the published graphs."""
    per_prompt = {str(batch): medians[str(batch)] / batch for batch in BATCHES}
    stock_encoder, stock_decoder = medians["stock encoder"], medians["stock decoder"]
    return {
        "encoder_ms": round(medians["encoder"], 2),
        "prep_ms": 0.0,
        "decoder_ms": {batch: round(value, 2) for batch, value in per_prompt.items()},
        "stock": {"encoder_ms": round(stock_encoder, 2), "decoder_ms": round(stock_decoder, 2)},
        "ratio": {
            "encoder": round(medians["encoder"] / stock_encoder, 3),
            "decoder": round(per_prompt["1"] / stock_decoder, 3),
            "decoder_8": round(per_prompt["8"] / stock_decoder, 3),
        },
    }


def center_clicks(frame_size: tuple[int, int], count: int) -> list[Prompt]:
    """Create clicks along the middle of a frame."""
    width, height = frame_size
    return [Prompt.click((index + 0.5) * width / count, height / 2) for index in range(count)]


def published_graph_runs(weights: Path, encoder_threads: int, decoder_threads: int) -> dict[str, Callable[[], Any]]:
    """Open the published pair in ONNX Runtime: "stock encoder" for the full square, "stock decoder" for one click."""
    try:
        import onnxruntime as ort
    except ImportError as error:
        raise EngineUnavailable("the benchmark's baseline needs ONNX Runtime; pip install onnxruntime") from error

    def session(name: str, threads: int) -> Any:
        if not (weights / name).is_file():
            raise EngineUnavailable(f"the benchmark's baseline is the published ONNX pair; {weights / name} is missing")
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        return ort.InferenceSession(weights / name, options, providers=["CPUExecutionProvider"])

    encoder, decoder = session("encoder.onnx", encoder_threads), session("sam.onnx", decoder_threads)
    image = np.zeros((1, 3, MODEL_SIDE, MODEL_SIDE), np.float32)
    inputs = {
        "image_embeddings": encoder.run(None, {"input": image})[0],
        "point_coords": np.array([[[400, 300], [0, 0]]], np.float32),
        "point_labels": np.array([[1, -1]], np.float32),
        "mask_input": np.zeros((1, 1, 256, 256), np.float32),
        "has_mask_input": np.zeros(1, np.float32),
        "orig_im_size": np.array([480, 854], np.float32),
    }
    return {
        "stock encoder": lambda: encoder.run(None, {"input": image}),
        "stock decoder": lambda: decoder.run(None, inputs),
    }
