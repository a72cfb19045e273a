"""Our torch modules as they are, on the CPU: no graph, no cache, the fast decoder exactly. Slow; for comparison."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from engines.base import EngineInfo, EngineUnavailable, Floats, Image, ModelError
from engines.graphs import DecoderGraph, EncoderGraph
from engines.sam import SamDecoder, SamEncoder, serial
from engines.settings import EngineSettings, default_cache_dir
from engines.store import GraphStore

try:
    import torch

    from engines.models.graphs import module
except ImportError as error:
    raise EngineUnavailable("torch is not installed; pip install torch") from error


def open_engine(
    settings: EngineSettings,
    weights: Path | None,
    frame_size: tuple[int, int] | None,
    report: Callable[[str], None],
) -> tuple[SamEncoder, SamDecoder]:
    """See `engines.load`."""
    if weights is None:
        raise ModelError(f"the torch engine needs the folder with the weights of {settings.model}")
    if settings.precision not in ("auto", "f32", "bf16"):
        raise EngineUnavailable(f"the torch engine runs in f32 or bf16, not {settings.precision}")
    store = GraphStore(weights, settings.model, settings.cache_dir or default_cache_dir(), report)
    precision = "bf16" if settings.precision == "bf16" else "f32"
    info = EngineInfo(
        engine_id=f"torch-{settings.model}-{next(serial)}",
        backend="torch",
        model=settings.model,
        precision=precision,
        device="CPU",
        masks=4,
        versions={"torch": str(torch.__version__)},
        threads={"encoder": settings.encoder_threads, "decoder": settings.decoder_threads},
    )
    runtime, table = TorchRuntime(store, settings, precision), store.prompt_table()
    encoder, decoder = SamEncoder(info, runtime, table), SamDecoder(info, runtime, table)
    if frame_size is not None:
        encoder.prepare(frame_size)
        decoder.prepare(frame_size)
    return encoder, decoder


class TorchRuntime:
    """Builds the modules of graphs."""

    def __init__(self, store: GraphStore, settings: EngineSettings, precision: str) -> None:
        self._store, self._settings, self._reduced = store, settings, precision == "bf16"

    def _runner(self, graph: EncoderGraph | DecoderGraph, threads: int) -> Callable[..., Any]:
        with torch.inference_mode():
            net = module(self._store.sam(), graph)

        def run(*inputs: Any) -> Any:
            # OpenMP keeps the number for each calling thread, so that encoder and decoder do not disturb each other.
            if torch.get_num_threads() != threads:
                torch.set_num_threads(threads)
            with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=self._reduced):
                return net(*inputs)

        return run

    def encoder(self, graph: EncoderGraph) -> Callable[[Image], tuple[tuple[Any, ...], int]]:
        """See `Runtime.encoder`."""
        run = self._runner(graph, self._settings.encoder_threads)

        def encode(image: Image) -> tuple[tuple[Any, ...], int]:
            outputs = tuple(output.float() for output in run(torch.from_numpy(image)))
            return outputs, sum(output.nbytes for output in outputs)

        return encode

    def decoder(self, graph: DecoderGraph) -> Callable[[tuple[Any, ...], Sequence[Floats]], tuple[Floats, Floats]]:
        """See `Runtime.decoder`."""
        run = self._runner(graph, self._settings.decoder_threads)
        prepared_inputs = 1 if graph.masks_in else 4

        def decode(prepared: tuple[Any, ...], inputs: Sequence[Floats]) -> tuple[Floats, Floats]:
            logits, scores = run(*prepared[:prepared_inputs], *(torch.from_numpy(value) for value in inputs))
            return logits.float().numpy(), scores.float().numpy()

        return decode

    def array(self, tensor: Any) -> Floats:
        """See `Runtime.array`."""
        return np.array(tensor, np.float32)
