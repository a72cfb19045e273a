"""Runs graphs on the CPU with OpenVINO.

bfloat16 where the CPU supports it, float32 elsewhere, int8 where it was accepted and is faster on this machine.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from engines import cache
from engines.base import EngineUnavailable, Floats, Image, ModelError
from engines.graph_store import GraphStore
from engines.graphs import DecoderGraph, EncoderGraph
from engines.number_formats import quantize_encoder
from engines.openvino_core import compile_for_latency, has_bfloat16, open_core
from engines.sam import DecoderRun, EncoderRun, SamDecoder, SamEncoder, open_sam, open_store
from engines.settings import EngineSettings, Precision, Report
from engines.speed import MAX_TIME_RATIO

try:
    import openvino as ov

    from engines.backends.openvino_gelu import replace_gelu
except ImportError as error:
    raise EngineUnavailable("OpenVINO is not installed; pip install openvino") from error


def open_engine(
    settings: EngineSettings, weights: Path | None, frame_size: tuple[int, int] | None, report: Report
) -> tuple[SamEncoder, SamDecoder]:
    """See `engines.load`."""
    store = open_store(settings, weights, report)
    return open_pair(OpenVinoRuntime(store, settings), store, settings, frame_size)


def open_pair(
    runtime: OpenVinoRuntime, store: GraphStore, settings: EngineSettings, frame_size: tuple[int, int] | None
) -> tuple[SamEncoder, SamDecoder]:
    """Open an encoder and a decoder over a runtime."""
    return open_sam(
        settings, store, runtime,
        precision=runtime.precision, device=runtime.device, versions={"openvino": ov.__version__},
        frame_size=frame_size,
    )  # fmt: skip


class OpenVinoRuntime:
    """Compiles graphs with the thread counts and the precision of the settings.

    precision: of the encoder; the decoder and all unquantised layers run in `float_precision`.
    """

    accepts_frames = False

    def __init__(self, store: GraphStore, settings: EngineSettings, *, unjudged: bool = False) -> None:
        """Choose the precision. unjudged: use int8 without the verdict of `gazecast engine build`.

        Raises `EngineUnavailable` for a precision that this CPU lacks, and for int8 that was not accepted here.
        """
        self.core = open_core()
        self.device = str(self.core.get_property("CPU", "FULL_DEVICE_NAME"))
        self._store, self._settings = store, settings
        capable = has_bfloat16()
        wanted = settings.precision
        if wanted == "bf16" and not capable:
            raise EngineUnavailable("this CPU has no bfloat16 instructions; choose precision f32 or auto")
        if wanted in ("f16", "fp8"):
            raise EngineUnavailable(f"{wanted} is for GPUs; choose precision auto, bf16, f32 or int8 for OpenVINO")
        self.float_precision: Precision = "f32" if wanted == "f32" or not capable else "bf16"
        verdict = None if unjudged or wanted not in ("auto", "int8") else cache.read_verdict(*self.int8_verdict())
        if wanted == "int8" and not unjudged and verdict is None:
            raise EngineUnavailable(
                "int8 was not accepted on this machine; run `gazecast engine build --precision int8` or choose "
                "precision auto"
            )
        faster = wanted == "auto" and verdict is not None and verdict.get("time_ratio", 1.0) < MAX_TIME_RATIO
        self.precision = "int8" if wanted == "int8" or faster else self.float_precision

    def int8_verdict(self) -> tuple[Path, str, dict[str, str]]:
        """Return the folder, name and key of the verdict on int8, which holds for all shapes of pictures."""
        key = self._store.key(format="openvino-int8", openvino=ov.__version__, device=self.device)
        return self._store.root, f"{self._store.model}-openvino-int8", key

    def compile(self, model: onnx.ModelProto, threads: int) -> Any:
        """Compile a graph; raises `ModelError` for one that OpenVINO cannot use."""
        try:
            with self._store.onnx_source(model) as source:
                network = self.core.read_model(source)
                if self._settings.precision != "f32":
                    replace_gelu(network)
                return compile_for_latency(self.core, network, threads, INFERENCE_PRECISION_HINT=self.float_precision)
        except RuntimeError as error:
            detail = str(error).strip().splitlines()[-1]
            raise ModelError(
                f"OpenVINO cannot use the graph {model.graph.name} of {self._store.weights}: {detail}; "
                f"fetch the weights again: gazecast models pull {self._store.model}"
            ) from error

    def encoder(self, graph: EncoderGraph) -> EncoderRun:
        """See `EngineRuntime.encoder`."""
        model = self._store.onnx_model(graph)
        if self.precision == "int8":
            quantize_encoder(model, self._store.int8_ranges())
        compiled = self.compile(model, self._settings.encoder_threads)
        request = compiled.create_infer_request()

        def encode(image: Image) -> tuple[tuple[Any, ...], int]:
            # Every call writes into new tensors, so embeddings may be kept without a copy.
            outputs = tuple(ov.Tensor(output.element_type, output.shape) for output in compiled.outputs)
            for index, tensor in enumerate(outputs):
                request.set_output_tensor(index, tensor)
            request.set_input_tensor(ov.Tensor(image, shared_memory=True))
            request.infer()
            return outputs, sum(tensor.byte_size for tensor in outputs)

        return encode

    def decoder(self, graph: DecoderGraph) -> DecoderRun:
        """See `EngineRuntime.decoder`."""
        compiled = self.compile(self._store.onnx_model(graph), self._settings.decoder_threads)
        request = compiled.create_infer_request()

        def decode(prepared: tuple[Any, ...], inputs: Sequence[Floats]) -> tuple[Floats, Floats]:
            shared = (ov.Tensor(value, shared_memory=True) for value in inputs)
            for index, tensor in enumerate((*prepared[: graph.image_inputs], *shared)):
                request.set_input_tensor(index, tensor)
            request.infer()
            logits, scores = (np.array(request.get_output_tensor(index).data) for index in (0, 1))
            return logits, scores

        return decode

    def array(self, tensor: Any) -> Floats:
        """See `EngineRuntime.array`."""
        return np.array(tensor.data, np.float32)

    def split(self, prepared: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        """See `BatchRuntime.split`; the parts share the batch's memory."""
        return [
            tuple(ov.Tensor(part, shared_memory=True) for part in parts)
            for parts in zip(*(tensor.data for tensor in prepared), strict=True)
        ]

    def stack(self, prepared: Sequence[tuple[Any, ...]]) -> tuple[Any, ...]:
        """See `BatchRuntime.stack`."""
        return tuple(ov.Tensor(np.stack([part.data for part in parts])) for parts in zip(*prepared, strict=True))
