"""Runs MobileSAM's published ONNX pair unmodified in OpenVINO, as the baseline engine.

The encoder requires the full 1024 x 1024 input; the decoder decodes one prompt at a time to one mask.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from engines.base import (
    LOGITS_SIDE,
    Embedding,
    EngineClosed,
    EngineInfo,
    Floats,
    Image,
    MaskCandidates,
    ModelError,
    Prompt,
    check_image,
    check_prompts,
)
from engines.letterbox import MODEL_SIDE, Letterbox
from engines.openvino_core import compile_for_latency, open_core
from engines.prompts import model_points
from engines.settings import EngineSettings, Report

MEAN_RGB = np.array([123.675, 116.28, 103.53], np.float32)
STD_RGB = np.array([58.395, 57.12, 57.375], np.float32)
_serial = itertools.count(1)


def open_engine(
    settings: EngineSettings, weights: Path | None, frame_size: tuple[int, int] | None, report: Report
) -> tuple[StockEncoder, StockDecoder]:
    """Compile the pair in `weights` (encoder.onnx and sam.onnx) with the given thread counts."""
    if weights is None:
        raise ModelError("the stock engine needs a folder with encoder.onnx and sam.onnx")
    core = open_core()
    import openvino as ov  # which the core has found

    encoder, decoder = (_read_graph(core, weights / name, report) for name in ("encoder.onnx", "sam.onnx"))
    encoder.reshape([1, 3, MODEL_SIDE, MODEL_SIDE])
    encoder = compile_for_latency(core, encoder, settings.encoder_threads)
    decoder.remove_result(decoder.output("masks").get_node())

    def for_points(count: int) -> Any:
        # Static, because OpenVINO 2026.4 crashes when a dynamic graph is compiled for one thread.
        model = decoder.clone()
        model.reshape({"point_coords": [1, count, 2], "point_labels": [1, count]})
        return compile_for_latency(core, model, settings.decoder_threads).create_infer_request()

    info = EngineInfo(
        engine_id=f"stock-{settings.model}-{next(_serial)}", backend="stock", model=settings.model,
        precision=str(encoder.get_property("INFERENCE_PRECISION_HINT").get_type_name()), device="CPU", masks=1,
        versions={"openvino": ov.__version__},
        threads={"encoder": settings.encoder_threads, "decoder": settings.decoder_threads},
    )  # fmt: skip
    return StockEncoder(info, encoder), StockDecoder(info, for_points)


def _read_graph(core: Any, file: Path, report: Report) -> Any:
    report(f"reading {file.name}")
    if not file.is_file():
        raise ModelError(f"{file} is missing; give the folder with encoder.onnx and sam.onnx")
    try:
        return core.read_model(file)
    except RuntimeError as error:
        raise ModelError(f"{file} is not a readable ONNX file; fetch it again") from error


class StockEncoder:
    """Runs encoder.onnx: (1, 3, 1024, 1024) float to (1, 256, 64, 64)."""

    def __init__(self, info: EngineInfo, compiled: Any) -> None:
        self.info = info
        self._request = compiled.create_infer_request()
        self._input: Floats = np.zeros((1, 3, MODEL_SIDE, MODEL_SIDE), np.float32)

    def encode(self, image: Image) -> Embedding:
        """See `Encoder.encode`."""
        if self._request is None:
            raise EngineClosed("this encoder was closed; load the engine again")
        check_image(image)
        letterbox = Letterbox(image.shape[1], image.shape[0])
        content = letterbox.resize(image)
        rows, columns = content.shape[:2]
        self._input[:] = 0
        self._input[0, :, :rows, :columns] = ((content[:, :, ::-1] - MEAN_RGB) / STD_RGB).transpose(2, 0, 1)
        self._request.infer({0: self._input}, share_inputs=True)
        tensor = self._request.get_output_tensor(0).data.copy()
        return Embedding(self.info.engine_id, letterbox, tensor, tensor.nbytes)

    def close(self) -> None:
        """Free the graph."""
        self._request = None


class StockDecoder:
    """Runs sam.onnx: one prompt with any number of points per call to one mask."""

    def __init__(self, info: EngineInfo, for_points: Callable[[int], Any]) -> None:
        self.info = info
        self._for_points: Callable[[int], Any] | None = functools.cache(for_points)

    def decode(self, embedding: Embedding, prompts: Sequence[Prompt]) -> tuple[MaskCandidates, ...]:
        """See `Decoder.decode`; prompts are decoded one after another."""
        if self._for_points is None:
            raise EngineClosed("this decoder was closed; load the engine again")
        check_prompts(self.info, embedding, prompts)
        return tuple(self._decode(self._for_points, embedding, prompt) for prompt in prompts)

    def _decode(self, for_points: Callable[[int], Any], embedding: Embedding, prompt: Prompt) -> MaskCandidates:
        points, labels = model_points(embedding.letterbox, prompt)
        request = for_points(len(points))
        dense = prompt.mask_logits
        columns, rows = embedding.letterbox.content_size
        mask_input = np.zeros((1, 1, LOGITS_SIDE, LOGITS_SIDE), np.float32) if dense is None else dense[None, None]
        request.infer({
            "image_embeddings": embedding.tensors,
            "point_coords": points[None],
            "point_labels": labels[None].astype(np.float32),
            "mask_input": np.ascontiguousarray(mask_input, np.float32),
            "has_mask_input": np.array([dense is not None], np.float32),
            "orig_im_size": np.array([rows, columns], np.float32),
        })  # fmt: skip
        scores, logits = (request.get_output_tensor(k).data[0].copy() for k in (0, 1))
        return MaskCandidates(logits, scores, embedding.letterbox)

    def close(self) -> None:
        """Free the graph."""
        self._for_points = None
