"""OpenVINO on the CPU: bfloat16 where the CPU has it, float32 elsewhere, int8 where such an encoder was built."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from engines.base import EngineInfo, EngineUnavailable, Floats, Image, ModelError
from engines.graphs import DecoderGraph, EncoderGraph
from engines.letterbox import Letterbox
from engines.sam import SamDecoder, SamEncoder, serial
from engines.settings import EngineSettings, default_cache_dir
from engines.store import GraphStore

try:
    import openvino as ov
except ImportError as error:
    raise EngineUnavailable("OpenVINO is not installed; pip install openvino") from error


def open_engine(
    settings: EngineSettings,
    weights: Path | None,
    frame_size: tuple[int, int] | None,
    report: Callable[[str], None],
) -> tuple[SamEncoder, SamDecoder]:
    """See `engines.load`."""
    if weights is None:
        raise ModelError(f"the openvino engine needs the folder with the weights of {settings.model}")
    store = GraphStore(weights, settings.model, settings.cache_dir or default_cache_dir(), report)
    runtime = OpenVinoRuntime(store, settings)
    info = EngineInfo(
        engine_id=f"openvino-{settings.model}-{next(serial)}",
        backend="openvino",
        model=settings.model,
        precision=runtime.precision,
        device=str(runtime.core.get_property("CPU", "FULL_DEVICE_NAME")),
        masks=4,
        versions={"openvino": ov.__version__},
        threads={"encoder": settings.encoder_threads, "decoder": settings.decoder_threads},
    )
    encoder, decoder = SamEncoder(info, runtime), SamDecoder(info, runtime, store.prompt_table())
    if frame_size is not None:
        report(f"compiling for {Letterbox(*frame_size).content_size} with OpenVINO")
        encoder.prepare(frame_size)
        decoder.prepare(frame_size)
    store.release()
    return encoder, decoder


class OpenVinoRuntime:
    """Compiles graphs with the threads and the precision of the settings."""

    def __init__(self, store: GraphStore, settings: EngineSettings) -> None:
        self.core = ov.Core()
        self._store, self._settings = store, settings
        self.precision = self._resolve(settings.precision)

    def _resolve(self, wanted: str) -> str:
        capable = "BF16" in self.core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        if wanted == "auto":
            return "bf16" if capable else "f32"
        if wanted == "bf16" and not capable:
            raise EngineUnavailable("this CPU has no bfloat16 instructions; choose precision f32 or auto")
        return wanted

    def _compiled(self, file: Path, threads: int) -> Any:
        config = {
            "PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": 1, "INFERENCE_NUM_THREADS": threads,
            "INFERENCE_PRECISION_HINT": self.precision,
            # The encoder and the decoder run at once; pinned, both would sit on the first core.
            "ENABLE_CPU_PINNING": False,
        }  # fmt: skip
        try:
            return self.core.compile_model(self.core.read_model(file), "CPU", config)
        except RuntimeError as error:
            detail = str(error).strip().splitlines()[-1]
            raise ModelError(f"OpenVINO cannot use {file}: {detail}; run `gazecast engine build --force`") from error

    def encoder(self, graph: EncoderGraph) -> OpenVinoEncoder:
        """See `Runtime.encoder`."""
        return OpenVinoEncoder(self._compiled(self._store.onnx(graph), self._settings.encoder_threads))

    def decoder(self, graph: DecoderGraph) -> OpenVinoDecoder:
        """See `Runtime.decoder`."""
        compiled = self._compiled(self._store.onnx(graph), self._settings.decoder_threads)
        return OpenVinoDecoder(compiled, graph.masks_in)


class OpenVinoEncoder:
    """See `EncoderRun`. Every call writes into new tensors, so that embeddings may be kept without a copy."""

    def __init__(self, compiled: Any) -> None:
        self._request = compiled.create_infer_request()
        self._outputs = [(output.element_type, output.shape) for output in compiled.outputs]

    def __call__(self, image: Image) -> tuple[tuple[Any, ...], int]:
        """See `EncoderRun`."""
        outputs = tuple(ov.Tensor(kind, shape) for kind, shape in self._outputs)
        for index, tensor in enumerate(outputs):
            self._request.set_output_tensor(index, tensor)
        self._request.set_input_tensor(ov.Tensor(image, shared_memory=True))
        self._request.infer()
        return outputs, sum(tensor.byte_size for tensor in outputs)


class OpenVinoDecoder:
    """See `DecoderRun`."""

    def __init__(self, compiled: Any, masks_in: bool) -> None:
        self._request = compiled.create_infer_request()
        self._prepared = 1 if masks_in else 4

    def __call__(self, prepared: tuple[Any, ...], inputs: Sequence[Floats]) -> tuple[Floats, Floats]:
        """See `DecoderRun`."""
        tensors = [*prepared[: self._prepared], *(ov.Tensor(value, shared_memory=True) for value in inputs)]
        for index, tensor in enumerate(tensors):
            self._request.set_input_tensor(index, tensor)
        self._request.infer()
        return tuple(np.array(self._request.get_output_tensor(index).data) for index in (0, 1))  # type: ignore[return-value]
