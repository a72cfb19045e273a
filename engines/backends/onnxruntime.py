"""Runs graphs in float32 on the CPU with ONNX Runtime, the portable backend."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from engines.base import EngineError, EngineUnavailable, Floats, Image, ModelError
from engines.graph_store import GraphStore
from engines.graphs import DecoderGraph, EncoderGraph, Graph
from engines.sam import DecoderRun, EncoderRun, SamDecoder, SamEncoder, open_sam, open_store
from engines.settings import EngineSettings, Report

try:
    import onnxruntime as ort
except ImportError as error:
    raise EngineUnavailable("ONNX Runtime is not installed; pip install 'gazecast[onnxruntime]'") from error


def open_engine(
    settings: EngineSettings, weights: Path | None, frame_size: tuple[int, int] | None, report: Report
) -> tuple[SamEncoder, SamDecoder]:
    """See `engines.load`."""
    store = open_store(settings, weights, report)
    if settings.precision not in ("auto", "f32"):
        raise EngineUnavailable(f"the onnxruntime engine runs in f32, not {settings.precision}; choose f32 or auto")
    return open_sam(
        settings, store, OnnxRuntime(store, settings),
        precision="f32", device="CPU", versions={"onnxruntime": ort.__version__}, frame_size=frame_size,
    )  # fmt: skip


class OnnxRuntime:
    """Opens inference sessions with the thread counts of the settings."""

    accepts_frames = False

    def __init__(self, store: GraphStore, settings: EngineSettings) -> None:
        self._store, self._settings = store, settings

    def _session(self, graph: Graph, threads: int) -> Any:
        options = ort.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        # Spinning threads would occupy a core that the other half of the pipeline needs.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            with self._store.onnx_source(self._store.onnx_model(graph)) as source:
                return ort.InferenceSession(source, options, providers=["CPUExecutionProvider"])
        except EngineError:
            raise
        except Exception as error:  # its exceptions share no other base class
            raise ModelError(
                f"ONNX Runtime cannot use the graph {graph.name} of {self._store.weights}; "
                f"fetch the weights again: gazecast models pull {self._store.model}"
            ) from error

    def encoder(self, graph: EncoderGraph) -> EncoderRun:
        """See `EngineRuntime.encoder`."""
        session = self._session(graph, self._settings.encoder_threads)

        def encode(image: Image) -> tuple[tuple[Floats, ...], int]:
            outputs = tuple(session.run(None, {"image": image}))
            return outputs, sum(output.nbytes for output in outputs)

        return encode

    def decoder(self, graph: DecoderGraph) -> DecoderRun:
        """See `EngineRuntime.decoder`."""
        session = self._session(graph, self._settings.decoder_threads)
        names = [each.name for each in session.get_inputs()]

        def decode(prepared: tuple[Floats, ...], inputs: Sequence[Floats]) -> tuple[Floats, Floats]:
            values = [*prepared[: graph.image_inputs], *inputs]
            logits, scores = session.run(None, dict(zip(names, values, strict=True)))
            return logits, scores

        return decode

    def array(self, tensor: Any) -> Floats:
        """See `EngineRuntime.array`."""
        return np.asarray(tensor, np.float32)

    def split(self, prepared: tuple[Floats, ...]) -> list[tuple[Floats, ...]]:
        """See `BatchRuntime.split`; the parts share the batch's memory."""
        return list(zip(*prepared, strict=True))

    def stack(self, prepared: Sequence[tuple[Floats, ...]]) -> tuple[Floats, ...]:
        """See `BatchRuntime.stack`."""
        return tuple(np.stack(parts) for parts in zip(*prepared, strict=True))
