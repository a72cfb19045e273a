"""Runs graphs on the CPU with OpenVINO.

bfloat16 where the CPU supports it, float32 elsewhere, int8 where such an encoder was built.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from engines import cache
from engines.base import EngineUnavailable, Floats, Image, ModelError
from engines.graph_store import GraphStore
from engines.graphs import DecoderGraph, EncoderGraph
from engines.letterbox import Letterbox
from engines.sam import DecoderRun, EncoderRun, SamDecoder, SamEncoder, open_sam, open_store
from engines.settings import EngineSettings, Report, picture_side

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
    runtime = OpenVinoRuntime(store, settings)
    if frame_size is not None:
        runtime.resolve(EncoderGraph.of(Letterbox(*frame_size, picture_side=picture_side(settings))))
    pair = open_sam(
        settings, store, runtime,
        precision=runtime.precision, device=runtime.device, versions={"openvino": ov.__version__},
        frame_size=frame_size,
    )  # fmt: skip
    store.release()
    return pair


class OpenVinoRuntime:
    """Compiles graphs with the thread counts and the precision of the settings.

    precision: of the encoder for later frames; the decoder and all unquantised layers run in `float_precision`.
    """

    accepts_frames = False

    def __init__(self, store: GraphStore, settings: EngineSettings) -> None:
        self.core = ov.Core()
        self.device = str(self.core.get_property("CPU", "FULL_DEVICE_NAME"))
        self._store, self._settings = store, settings
        capable = "BF16" in self.core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        wanted = settings.precision
        if wanted == "bf16" and not capable:
            raise EngineUnavailable("this CPU has no bfloat16 instructions; choose precision f32 or auto")
        if wanted == "f16":
            raise EngineUnavailable("float16 is for GPUs; choose precision auto, bf16, f32 or int8 for OpenVINO")
        self.float_precision = "f32" if wanted == "f32" or not capable else "bf16"
        self.precision = "int8" if wanted == "int8" else self.float_precision

    def int8_path(self, graph: EncoderGraph) -> tuple[Path, dict[str, str]]:
        """Return the path and the key of the int8 encoder for a shape."""
        return self._store.int8_file(graph, openvino=ov.__version__, device=self.device)

    def _int8(self, graph: EncoderGraph) -> Path | None:
        """Return the int8 encoder for a shape if it is allowed and was built, hence passed the gate."""
        if self._settings.precision not in ("auto", "int8"):
            return None
        file, key = self.int8_path(graph)
        return file if cache.find_cached(file, key) is not None else None

    def resolve(self, graph: EncoderGraph) -> None:
        """Resolve the precision for later frames."""
        if self._int8(graph) is not None:
            self.precision = "int8"
        elif self._settings.precision == "int8":
            raise EngineUnavailable(
                f"there is no int8 encoder for {graph.width} x {graph.height}; "
                "run `gazecast engine build --precision int8` or choose precision auto"
            )

    def compiled(self, file: Path, threads: int) -> Any:
        """Read and compile a graph; raises `ModelError` for an unusable file."""
        try:
            model = self.core.read_model(file)
            if self.float_precision != "f32":
                replace_gelu(model)
            return compile_for_latency(self.core, model, threads, INFERENCE_PRECISION_HINT=self.float_precision)
        except RuntimeError as error:
            detail = str(error).strip().splitlines()[-1]
            raise ModelError(f"OpenVINO cannot use {file}: {detail}; run `gazecast engine build --force`") from error

    def encoder(self, graph: EncoderGraph) -> EncoderRun:
        """See `EngineRuntime.encoder`. A shape without an int8 encoder uses the float one."""
        compiled = self.compiled(self._int8(graph) or self._store.onnx_file(graph), self._settings.encoder_threads)
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
        compiled = self.compiled(self._store.onnx_file(graph), self._settings.decoder_threads)
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


def compile_for_latency(core: Any, model: Any, threads: int, **config: Any) -> Any:
    """Compile a model for single requests on the CPU. config: further properties of OpenVINO."""
    config |= {
        "PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": 1, "INFERENCE_NUM_THREADS": threads,
        # The encoder and the decoder run concurrently; pinned, both would share the first core.
        "ENABLE_CPU_PINNING": False,
    }  # fmt: skip
    return core.compile_model(model, "CPU", config)


def save(model: Any, file: Path) -> None:
    """Write a model as `file` (.xml) and its weights as .bin."""
    ov.save_model(model, file, compress_to_fp16=False)
